// Runs before the first paint, so that a page in the dark does not flash white.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("nascreen-theme");
    } catch {
      return null; // storage may be closed; then the system's choice holds
    }
  };
  const show = () => {
    const chosen = kept();
    document.documentElement.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  dark.addEventListener("change", show);
  show();
})();
