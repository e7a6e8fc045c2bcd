// A page that comes from a server of ours follows the model's file.

const INTERVAL = 700;

function follow() {
  if (!data.served) return;
  let lost = false;
  const ask = async () => {
    try {
      const state = await (await fetch("/state", { cache: "no-store" })).json();
      if (state.revision !== data.served) location.reload();
      tell(state.error ? `${state.error} — the page shows the last model that could be read.` : "");
      lost = false;
    } catch {
      if (lost) tell("The server has ended; the page stays as it is.");
      lost = true;
    }
    setTimeout(ask, INTERVAL);
  };
  setTimeout(ask, INTERVAL);
}

function tell(text) {
  const banner = byId("banner");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = !text;
}
