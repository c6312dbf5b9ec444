package swapdev

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture makes files under a folder of the test's.
func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		noErr(t, os.MkdirAll(filepath.Dir(path), 0o755))
		noErr(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return root
}

const swapsText = `Filename				Type		Size		Used		Priority
/dev/loop3                              partition	65532		1024		20000
/dev/loop30                             partition	65532		2048		-2
/a\040folder/loop4                      file		1024		0		5
/dev/loop5\040(deleted)                 partition	8		4		1
/back\134slash\011tab                   file		1024		12		5
garbage
/dev/x partition many 0 1
`

func TestAreas(t *testing.T) {
	h := host{swaps: filepath.Join(fixture(t, map[string]string{"swaps": swapsText}), "swaps")}
	list, err := h.areas()
	noErr(t, err)
	if len(list) != 5 || list[2].name != "/a folder/loop4" || list[4].name != "/back\\slash\ttab" || list[1].priority != -2 || list[0].size != 65532<<10 {
		t.Errorf("%+v", list)
	}
	for device, want := range map[string]uint64{"loop3": 1 << 20, "loop30": 2 << 20, "loop5": 4 << 10} {
		if a, on, err := h.swapOf(device); err != nil || !on || a.used != want {
			t.Errorf("%s: %+v, %v, %v", device, a, on, err)
		}
	}
	if _, on, _ := h.swapOf("loop4"); on {
		t.Error("a file that is named like a device")
	}
	for in, want := range map[string]string{`\`: `\`, `\04`: `\04`, `\999`: `\999`, `a\040`: "a ", `\0401`: " 1"} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRoom(t *testing.T) {
	root := fixture(t, map[string]string{"meminfo": "MemTotal: 9 kB\nMemAvailable:    1024 kB\n", "none": "MemTotal: 9 kB\n", "odd": "MemAvailable:\n", "swaps": swapsText})
	d := &Device{host: host{meminfo: filepath.Join(root, "meminfo"), swaps: filepath.Join(root, "swaps")}, index: 3}
	noErr(t, d.target().room(1<<20, OffOptions{}))
	var full *NoRoomError
	if err := d.target().room(1<<20, OffOptions{Reserve: 1}); !errors.As(err, &full) || *full != (NoRoomError{Used: 1 << 20, Available: 1 << 20, Reserve: 1}) {
		t.Error(err)
	}
	if err := d.SwapOff(t.Context(), OffOptions{Reserve: 1 << 20}); !errors.As(err, &full) || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	for _, name := range []string{"none", "odd", "missing"} {
		d.host.meminfo = filepath.Join(root, name)
		if err := d.target().room(0, OffOptions{}); err == nil {
			t.Errorf("%s: room without numbers", name)
		}
	}
}

func TestTune(t *testing.T) {
	root := fixture(t, map[string]string{
		"loop0/queue/scheduler": "[none] mq-deadline\n", "loop0/queue/rotational": "1", "loop0/queue/wbt_lat_usec": "9", "loop0/queue/stubborn/x": "",
	})
	h := host{block: root}
	warnings := h.tune("loop0", append(Queue(), Setting{"stubborn", "1"}))
	if len(warnings) != 1 || !strings.Contains(warnings[0], "stubborn stays") {
		t.Errorf("%q", warnings)
	}
	for name, want := range map[string]string{"scheduler": "[none] mq-deadline", "rotational": "0", "wbt_lat_usec": "0"} {
		if got := read(filepath.Join(root, "loop0/queue", name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	if err := outcome("errno 0\n", nil); err != nil {
		t.Error(err)
	}
	if err := outcome("errno 12\n", nil); err == nil || err.Error() != "cannot allocate memory" {
		t.Error(err)
	}
	for _, out := range []string{"", "errno x", "panic: something"} {
		if err := outcome(out, nil); err == nil {
			t.Errorf("%q is no failure", out)
		}
	}
	if err := outcome("errno 0\n", errors.New("killed")); err == nil {
		t.Error("a helper that was killed")
	}
}
