package report

// Interrupted begins a report's account of why a run stopped when it can go on.
const Interrupted = "interrupted"

// Diverged begins a report's account of a run whose training went wrong for good.
const Diverged = "diverged"
