// Where we are, and what the page needs first: asked for before its own scripts are there, which takes as long as the answers.
window.early = {
  answers: new Map(),
  // Whoever takes one says why there is none; the next one asks anew.
  ask(path) {
    const answer = fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(120000) });
    answer.catch(() => {});
    this.answers.set(path, answer);
  },
  take(path) {
    const answer = this.answers.get(path);
    this.answers.delete(path);
    return answer;
  },
  seconds: { "15m": 900, "1h": 3600, "1d": 86400, "1w": 604800 },
  place() {
    let parts = [];
    try { parts = location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent); } catch { /* no place of ours */ }
    return parts[0] === "rig" ? { rig: parts[1] ?? null, range: parts[2], episode: parts[3] ?? null } : { rig: null, episode: null };
  },
  curves(rig, range, end = null) {
    const params = new URLSearchParams({ rig, range, pixels: Math.round(Math.max(200, Math.min(800, (innerWidth - 340) / 3))) });
    if (end !== null) params.set("end", end.toFixed(0));
    return `/api/rig?${params}`;
  },
};
{
  const { early } = window, { rig, range } = early.place();
  for (const path of ["/api/me", "/api/sensors"]) early.ask(path); // at once, and not beside what takes longest
  early.ask(rig ? early.curves(rig, early.seconds[range] ? range : "1h") : "/api/fleet");
}
