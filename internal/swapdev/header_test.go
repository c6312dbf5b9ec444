package swapdev

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestHeader(t *testing.T) {
	a, err := Header(1000, "zswapd")
	noErr(t, err)
	b, err := Header(1000, "")
	noErr(t, err)
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(a[at:]) }
	if string(a[4086:]) != "SWAPSPACE2" || word(1024) != 1 || word(1028) != 999 || word(1032) != 0 {
		t.Errorf("% x", a[1024:1072])
	}
	if uuid := a[1036:1052]; bytes.Equal(uuid, b[1036:1052]) || uuid[6]>>4 != 4 || uuid[8]>>6 != 2 {
		t.Errorf("uuid % x", uuid)
	}
	if label := a[1052:1068]; string(bytes.TrimRight(label, "\x00")) != "zswapd" {
		t.Errorf("label %q", label)
	}
	if rest := bytes.Trim(a[1068:4086], "\x00"); len(rest) > 0 || !bytes.Equal(a[:1024], make([]byte, 1024)) {
		t.Error("something where nothing should be")
	}
}

func TestHeaderLimits(t *testing.T) {
	for _, c := range []struct {
		pages uint64
		label string
		ok    bool
	}{
		{0, "", false}, {9, "", false}, {10, "", true}, {1 << 32, "", true}, {1<<32 + 1, "", false},
		{10, "fifteen bytes..", true}, {10, "sixteen bytes...", false}, {10, "a\x00b", false},
	} {
		if _, err := Header(c.pages, c.label); (err == nil) != c.ok {
			t.Errorf("%d pages, label %q: %v", c.pages, c.label, err)
		}
	}
}
