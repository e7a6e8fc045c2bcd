"""What an object shows of itself in a notebook: its forms by MIME type, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

from dataflow.errors import DataflowError


def bundle(
    forms: Mapping[str, Callable[[], str]], include: Container[str] | None, exclude: Container[str] | None
) -> dict[str, str]:
    """What ``_repr_mimebundle_`` returns: the forms that are in ``include``, all unless it says, but for those in
    ``exclude``. Nothing else is made. Where one cannot be made, the text and the reason."""
    try:
        return {
            mime: make()
            for mime, make in forms.items()
            if (not include or mime in include) and not (exclude and mime in exclude)
        }
    except DataflowError as error:
        words = f"{forms['text/plain']()}\n({error})"
        return bundle({"text/plain": lambda: words}, include, exclude)
