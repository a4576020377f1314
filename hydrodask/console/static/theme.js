// Before anything is painted: the theme that was chosen here, else the system's. The style sheet has each colour once.
{
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const set = () => { document.documentElement.dataset.theme = ["dark", "light"].includes(chosen()) ? chosen() : system.matches ? "dark" : "light"; };
  set();
  system.addEventListener("change", set);
}
