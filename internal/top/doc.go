// Package top is zswapd top: what a daemon does, live, on a terminal.
//
//	tick ─► ask for Info and Stats ─► sample: what was done since the last ─► history ─► View
//	key  ─► pause, or ask for compaction, ageing, writeback ─► message
//
// The model is a value that bubbletea hands around; nothing here has a goroutine of its own. It fits any terminal: what does
// not fit is left out, the least important first.
package top
