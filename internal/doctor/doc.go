// Package doctor looks at a machine that is to swap to zswapd, or does, and says what stands in the way: each with the command
// that mends it.
//
//	Collect   reads files below a root into Facts, and changes nothing
//	Check     Facts and a configuration ─► Findings; pure
//	WriteText for people
//
// A check is one function in checks, and ends in one Finding at least: that all is well is said, too.
package doctor
