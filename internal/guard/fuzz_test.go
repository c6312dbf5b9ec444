package guard

import "testing"

// FuzzBefore: only what String writes is read.
func FuzzBefore(f *testing.F) {
	f.Add(Before{IOFlusher: true, OOMScoreAdj: -17, CoreFilter: 0x33, LockCur: 8 << 20, LockMax: 1<<64 - 1}.String())
	f.Add("true,1,2,3,4 and more")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBefore(s)
		if err == nil && b.String() != s || err != nil && b != (Before{}) {
			t.Fatalf("%q: %+v, %v", s, b, err)
		}
	})
}

// FuzzUnlocked: a mapping that follows counts as it does alone, and once, whatever comes before it.
func FuzzUnlocked(f *testing.F) {
	f.Add("Anonymous:             8 kB\nVmFlags: rd wr mr mw me ac sd\n")
	f.Add("Anonymous: 4 kB")
	f.Add("Anonymous: 18014398509481983 kB\nVmFlags: lo\nAnonymous:")
	f.Fuzz(func(t *testing.T, text string) {
		if once, twice := parseUnlocked(text+"\nVmFlags: rd\n"), parseUnlocked(text+"\nVmFlags: rd\nVmFlags: rd\n"); once != twice {
			t.Errorf("%q: %d bytes, and %d", text, once, twice)
		}
		before := parseUnlocked(text)
		for flags, want := range map[string]uint64{"rd wr": 8 << 10, "rd lo": 0} {
			if got := parseUnlocked(text+"\nAnonymous:  8 kB\nVmFlags: "+flags+"\n") - before; got != want {
				t.Errorf("%q: %d bytes of a mapping of 8 KiB with %s", text, got, flags)
			}
		}
	})
}
