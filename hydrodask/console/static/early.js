// First of all: what the page shows first is asked for, while its style sheet and its other scripts are still on their way.
window.early = {
  seconds: { "15m": 900, "1h": 3600, "1d": 86400, "1w": 604800 },
  asked: new Map(),

  // Where we are is in the address: #/rig/NAME/RANGE/EPISODE. `range` is meant where it names none.
  place(range) {
    const [what, rig, span, episode] = location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
    return what === "rig" && rig ? { rig, range: span ?? range, episode: episode ?? null } : { rig: null, range, episode: null };
  },

  curves(rig, range, end = null) {
    const params = { rig, range, pixels: Math.round(Math.max(200, Math.min(800, (innerWidth - 340) / 3))) };
    if (end !== null) params.end = end.toFixed(0);
    return `/api/rig?${new URLSearchParams(params)}`;
  },

  ask(path) {
    const answer = fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(120000) });
    answer.catch(() => {}); // whoever takes it says why
    this.asked.set(path, answer);
  },

  // The answer that was asked for, once; undefined where it was not.
  take(path) {
    const answer = this.asked.get(path);
    this.asked.delete(path);
    return answer;
  },
};
try {
  const { rig, range } = early.place("1h");
  for (const path of [rig ? early.curves(rig, early.seconds[range] ? range : "1h") : "/api/fleet", "/api/me", "/api/sensors"]) early.ask(path);
} catch { /* an address that can't be read: the page says so */ }
