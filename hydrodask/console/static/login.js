// Exchange a token for a cookie.
const form = document.getElementById("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value;
  const answer = await fetch("/api/login", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
  });
  if (answer.ok) location.href = `/${location.hash}`; // where one wanted to go
  else document.getElementById("said").textContent = (await answer.json()).error;
});
document.documentElement.dataset.ready = "1";
