package config

import (
	"fmt"
	"strings"
)

const defaultHead = `# Configuration of zswapd: every key with its default. To change one, take the # away; or better, put it into a file of
# your own in /etc/zswapd/zswapd.toml.d, which is read after this one: 10-mine.toml.
#
#	zswapd config check     all mistakes at once, with their lines
#	zswapd config show      what is in force, and where each value came from
#	zswapd reload           applies what can change live, and says what needs a restart
#
# live: reload applies it. restart: systemctl restart zswapd, which leaves the pages where they are. stop and start: all
# pages come back into memory in between.
`

// Default returns the documented default file. All its keys are comments.
func Default() string {
	var b strings.Builder
	b.WriteString(defaultHead)
	table := ""
	for i := range keys {
		k := &keys[i]
		at := strings.LastIndexByte(k.name, '.')
		if t := k.name[:max(at, 0)]; t != table {
			table = t
			fmt.Fprintf(&b, "\n[%s]\n", t)
		}
		b.WriteByte('\n')
		for line := range strings.Lines(k.doc + " (" + k.when.String() + ")") {
			b.WriteString("# " + strings.TrimSpace(line) + "\n")
		}
		fmt.Fprintf(&b, "#%s = %s\n", k.name[at+1:], k.initial)
	}
	return b.String()
}
