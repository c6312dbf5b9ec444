package swapdev

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzRecord: whatever lies in the state folder, it is refused or is a record of that run, and says the same when it is
// written again.
func FuzzRecord(f *testing.F) {
	const id = "0123456789abcdef"
	f.Add([]byte(`{"version":1,"id":"0123456789abcdef","tag":"zswapd:0123456789abcdef","boot":"b","pid":7,"loop":"/dev/loop3"}`))
	f.Add([]byte(`{"version":1,"id":"0123456789abcdef","tag":"another"}`))
	f.Add([]byte(`{"version":1,"id":"fedcba9876543210","tag":"zswapd:0123456789abcdef"}`))
	f.Add([]byte(`{"version":99,"id":"0123456789abcdef","tag":"zswapd:0123456789abcdef"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text, id)
		if err != nil {
			if r != (Record{}) {
				t.Fatalf("refused, and returned: %+v", r)
			}
			return
		}
		if r.Version < 1 || r.Version > RecordVersion || r.ID != id || r.Tag != "zswapd:"+id || checkTag(r.Tag) != nil {
			t.Fatalf("taken: %+v", r)
		}
		again, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := parseRecord(again, id); err != nil || r2 != r {
			t.Fatalf("%+v, written and read again: %+v, %v", r, r2, err)
		}
	})
}

// FuzzArea: a line of /proc/swaps that is understood says the same when it is written as the kernel does; and any text is
// a name that is understood.
func FuzzArea(f *testing.F) {
	for line := range strings.Lines(swapsText) {
		f.Add(line)
	}
	f.Add("/a\u3000b")
	f.Add(`/b\04 file 4 0 1`)
	f.Add("/c file 4 0")
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace
	f.Fuzz(func(t *testing.T, line string) {
		if a, ok := parseArea(escape(line+" (deleted)") + "\t\tfile\t\t8\t\t4\t\t-2\n"); !ok || a.name != line || a.kind != "file" || a.size != 8<<10 || a.priority != -2 {
			t.Fatalf("a swap file %q: %+v, %t", line, a, ok)
		}
		a, ok := parseArea(line)
		if !ok {
			return
		}
		again := fmt.Sprintf("%s\t\t%s\t%d\t%d\t%d\n", escape(a.name+" (deleted)"), a.kind, a.size>>10, a.used>>10, a.priority)
		if b, ok := parseArea(again); !ok || a != b {
			t.Fatalf("%q: %+v; %q: %+v, %t", line, a, again, b, ok)
		}
	})
}
