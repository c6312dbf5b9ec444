package capture

import (
	"reflect"
	"strings"
	"testing"
)

const smaps = `558f98e2d000-558f98e4e000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
Rss:                  96 kB
Referenced:           92 kB
Anonymous:            96 kB
Swap:                 12 kB
VmFlags: rd wr mr mw me ac sd
7f0a27000000-7f0a27001000 ---p 00000000 00:00 0
Anonymous:             0 kB
VmFlags: mr mw me sd
7f0a27001000-7f0a27801000 rw-p 00000000 00:00 0
Anonymous:            40 kB
Something:           new kB
VmFlags: rd wr mr mw me sd gu
7ffc0a1c0000-7ffc0a1e1000 rw-p 00001000 fe:01 123    /a file - with spaces: and more (deleted)
VmFlags: rd wr mr mw me gd ac
`

func TestParseMappings(t *testing.T) {
	got, err := parseMappings(strings.NewReader(smaps))
	noErr(t, err)
	f := strings.Fields
	want := []mapping{
		{start: 0x558f98e2d000, end: 0x558f98e4e000, name: "[heap]", flags: f("rd wr mr mw me ac sd"), anonymous: 24, referenced: 23, swapped: 3},
		{start: 0x7f0a27000000, end: 0x7f0a27001000, flags: f("mr mw me sd")},
		{start: 0x7f0a27001000, end: 0x7f0a27801000, flags: f("rd wr mr mw me sd gu"), anonymous: 10},
		{start: 0x7ffc0a1c0000, end: 0x7ffc0a1e1000, name: "/a file - with spaces: and more (deleted)", flags: f("rd wr mr mw me gd ac")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if n := pages(" 18014398509481988 kB"); n != 0 {
		t.Errorf("more than can be counted is %d pages", n)
	}
	for _, bad := range []string{"Anonymous: 3 kB\n", "zz-10 rw-p 0 0 0\n", "20-10 rw-p 0 0 0 \n", "10-20 rw-p\n"} {
		if got, err := parseMappings(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestLeftOut(t *testing.T) {
	for _, c := range []struct {
		flags, name   string
		stack         bool
		reason, ofAll Reason
	}{
		{flags: "rd wr mr mw me ac sd"},
		{flags: "rd wr", name: "[heap]"},
		{flags: "rd wr", name: "[anon: Go: heap]"},
		{flags: "rd wr", name: "/usr/bin/program"},
		{flags: "rd", name: "/usr/lib/a library"},
		{flags: "rd wr lo", reason: Locked},
		{flags: "rd wr dd", reason: NotDumped},
		{flags: "rd wr lo dd", reason: Locked},
		{flags: "rd wr", stack: true, reason: Stack},
		{flags: "wr mr", reason: Unreadable, ofAll: Unreadable},
		{flags: "", reason: Unreadable, ofAll: Unreadable},
		{flags: "rd wr io dd", reason: Device, ofAll: Device},
		{flags: "rd wr pf", name: "/dev/mem", reason: Device, ofAll: Device},
		{flags: "rd wr ht", reason: Huge, ofAll: Huge},
		{flags: "rd ex", name: "[vdso]", reason: Special, ofAll: Special},
		{flags: "rd", name: "[vvar]", reason: Special, ofAll: Special},
		{flags: "ex", name: "[vsyscall]", reason: Special, ofAll: Special},
	} {
		m := mapping{flags: strings.Fields(c.flags), name: c.name}
		if one, all := m.leftOut(c.stack, false), m.leftOut(c.stack, true); one != c.reason || all != c.ofAll {
			t.Errorf("%+v: %q, with --all %q", c, one, all)
		}
	}
}

func TestIsStack(t *testing.T) {
	rw, none := []string{"rd", "wr"}, []string{"mr", "mw"}
	guard := &mapping{start: 0x1000, end: 0x2000, flags: none}
	inside, outside := []uint64{1, 0x2ff0}, []uint64{1, 0x3000}
	for name, c := range map[string]struct {
		m        mapping
		below    *mapping
		pointers []uint64
		want     bool
	}{
		"the first thread's":      {mapping{name: "[stack]", flags: rw}, nil, nil, true},
		"one that grows":          {mapping{flags: []string{"rd", "wr", "gd"}}, nil, nil, true},
		"one by name":             {mapping{name: "[anon:stack_and_tls:main]", flags: rw}, nil, nil, true},
		"a file's name":           {mapping{name: "/lib/stack", flags: rw}, nil, nil, false},
		"a thread's":              {mapping{start: 0x2000, end: 0x3000, flags: rw}, guard, inside, true},
		"no stack pointer":        {mapping{start: 0x2000, end: 0x3000, flags: rw}, guard, outside, false},
		"no guard":                {mapping{start: 0x2000, end: 0x3000, flags: rw}, nil, inside, false},
		"two threads'":            {mapping{start: 0x2000, end: 0x3000, flags: rw}, guard, []uint64{0x2ff0, 0x2100}, false},
		"Go's heap":               {mapping{start: 0x2000_0000, end: 0x3000_0000, flags: rw}, &mapping{end: 0x2000_0000, flags: none}, []uint64{0x2ff0_0000}, false},
		"guard further down":      {mapping{start: 0x2800, end: 0x3000, flags: rw}, guard, inside, false},
		"readable below":          {mapping{start: 0x2000, end: 0x3000, flags: rw}, &mapping{end: 0x2000, flags: []string{"rd"}}, inside, false},
		"a guard of the new sort": {mapping{start: 0x2000, end: 0x3000, flags: []string{"rd", "wr", "gu"}}, nil, inside, true},
		"several, side by side":   {mapping{start: 0x2000, end: 0x3000, flags: []string{"rd", "wr", "gu"}}, nil, []uint64{0x2ff0, 0x2100}, true},
		"such a one, no pointer":  {mapping{start: 0x2000, end: 0x3000, flags: []string{"rd", "wr", "gu"}}, nil, outside, false},
	} {
		if got := isStack(&c.m, c.below, c.pointers); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestParseSyscall(t *testing.T) {
	for text, want := range map[string]uint64{
		"202 0x1 0x80 0x0 0x0 0x0 0x0 0x7ffd1ff0 0x7f3a\n": 0x7ffd1ff0,
		"-1 0x7ffd1ff0 0x7f3a\n":                           0x7ffd1ff0,
		"running\n":                                        0,
		"":                                                 0,
	} {
		if got, ok := parseSyscall(text); got != want || ok != (want != 0) {
			t.Errorf("%q: %#x, %v", text, got, ok)
		}
	}
}

// A page that is swapped out and that several processes have counts once; the kernel's marks of other sorts are none.
func TestSwappedOnce(t *testing.T) {
	s := newShared()
	defer s.close()
	at := func(n entry) entry { return swapped | n }
	for _, c := range []struct {
		e    entry
		want bool
	}{{at(5), true}, {at(5), false}, {at(5 + 1<<20), true}, {at(4), true}, {at(5), false}, {at(0), true}, {at(0), true}} {
		if got := c.e.swapped() && s.firstOut(c.e); got != c.want {
			t.Errorf("%#x: %v", uint64(c.e), got)
		}
	}
	for _, e := range []entry{0, present | 5, swapped | guard | 5, present | ofFile | 5} {
		if e.swapped() {
			t.Errorf("%#x counts as swapped out", uint64(e))
		}
	}
}
