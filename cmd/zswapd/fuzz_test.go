package main

import (
	"strconv"
	"strings"
	"testing"
)

// FuzzSize: a size is refused with its text in the error, and the flag as it was, or is positive, no larger than what can
// be reckoned with, and nearly the same when it is printed and read again.
func FuzzSize(f *testing.F) {
	for _, text := range []string{"256M", "1.5GiB", "1", "4 kb", "0.1B", "1024P", "1025P", "-1M", "nan M", "inf G", "0x1p5", "1e3K", "18446744073709551616", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const was = 12345
		s := size(was)
		if err := s.Set(text); err != nil {
			if s != was || !strings.Contains(err.Error(), strconv.Quote(text)) {
				t.Fatalf("%q: %d, %v", text, s, err)
			}
			return
		}
		unit := strings.TrimPrefix(strings.TrimLeft(text, "0123456789."), " ")
		if s <= 0 || s > maxSize || s+s < 0 || len(unit) > 3 || strings.ContainsAny(unit, "0123456789. ") {
			t.Fatalf("%q is %d bytes", text, s)
		}
		var again size
		if err := again.Set(s.String()); err != nil || max(s, again)-min(s, again) > s/1000 {
			t.Fatalf("%q is %d bytes; %q is %d, %v", text, s, s.String(), again, err)
		}
	})
}
