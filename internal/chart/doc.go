// Package chart writes figures as one HTML page that needs nothing else: no network, no scripts, inline SVG.
//
//	Page ─► sections ─► Bars, Scatter, Lines ─► a legend, the picture twice (for wide and narrow windows), a table of
//	                                            the same figures
//
// Bars: values of some series side by side, for each group. Scatter: labelled points. Lines: curves, each of points with
// rising x.
//
// Values that are no numbers (NaN, infinities) are missing: nothing is drawn, and the table has a dash. Names may be
// anything: they are escaped, cut where they are too long (the full name is the tooltip), and control characters are
// replaced. The page follows the reader's choice of light or dark.
package chart
