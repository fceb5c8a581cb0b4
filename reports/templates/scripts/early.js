// Before the first paint, so that the page does not flash: the theme that the reader chose last.
try {
  const theme = localStorage.getItem("proofload-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage is closed to some local pages; the system's theme is used */ }
