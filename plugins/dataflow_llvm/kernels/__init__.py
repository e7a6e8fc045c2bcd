"""What is written in LLVM's instructions, once for all models: the interpreter and its kernels."""
