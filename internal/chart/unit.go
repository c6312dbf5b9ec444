package chart

import (
	"fmt"
	"math"
	"strings"
)

// Unit is what values are of, and so how they are written.
type Unit int

// The units.
const (
	Number      Unit = iota // plain
	Nanoseconds             // 4.91 µs
	Seconds                 // 12.5 s
	Bytes                   // 214 MiB
	Percent                 // 99 %
)

// String writes a value with three digits or so; a dash if it is none.
func (u Unit) String(v float64) string {
	if !finite(v) {
		return "–"
	}
	switch u {
	case Nanoseconds:
		return scaled(v, 1000, "ns", "µs", "ms", "s")
	case Seconds:
		return short(v) + " s"
	case Bytes:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB")
	case Percent:
		if math.Abs(v) >= 1000 {
			return short(v) + " %"
		}
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.4f", v), "0"), ".") + " %"
	}
	return short(v)
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// scaled writes a value in the largest unit of which it has one.
func scaled(v, step float64, units ...string) string {
	for math.Abs(v) >= step-0.5 && len(units) > 1 {
		v, units = v/step, units[1:]
	}
	return short(v) + " " + units[0]
}

// tick writes a value as an axis does: without zeros at the end.
func (u Unit) tick(v float64) string {
	value, unit, _ := strings.Cut(u.String(v), " ")
	if strings.Contains(value, ".") && !strings.Contains(value, "e") {
		value = strings.TrimSuffix(strings.TrimRight(value, "0"), ".")
	}
	return strings.TrimSpace(value + " " + unit)
}

// short writes three digits, and thousands apart.
func short(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 999.5:
		return strings.TrimSuffix(fmt.Sprintf("%#.3g", v), ".")
	}
	if math.Abs(v) >= 1e15 {
		return fmt.Sprintf("%.3g", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
