// Package config is what the service is told: strict TOML, from a file and its drop-ins.
//
//	layers ─► files ─► entries ─► keys ─► Config, with where each value came from
//	(which)   (lines)  (key, text) (what is right)
//
//	Load        the files, every problem at once: each with file, line, key, the value seen and what would be right
//	With        the same and some settings more, as `zswapd set` asks for them
//	Diff        what differs between two, and what each change needs: nothing, a restart, a stop
//	Default     the documented default file, made from the keys
//
// A key is defined once, in keys.go: its name, default, documentation, what is right for it, and where in Config it
// goes. Its default is text that is read like a file's, so what the documentation says is what happens.
//
// Sizes are expressions, as users of zram-generator know them: min(ram / 2, 8GiB). They are evaluated once, when they are read,
// with the machine's RAM.
package config
