package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/zswapd/zswapd/compressor"
	"github.com/zswapd/zswapd/internal/report"
)

// kind is how a value of type T is written. An error of parse says what is wrong, where want alone would not; errKind, that the
// value is of another kind.
type kind[T any] struct {
	want  string // what would be right
	parse func(e entry, ram int64) (T, error)
	toml  func(T) string // the way back
}

var errKind = errors.New("another kind of value")

// text is of kinds that are written as strings.
func text[T any](want string, parse func(string) (T, error), show func(T) string) kind[T] {
	return kind[T]{want, func(e entry, _ int64) (v T, err error) {
		if e.kind != unstable.String {
			return v, errKind
		}
		return parse(e.data)
	}, func(v T) string { return strconv.Quote(show(v)) }}
}

func same(s string) string { return s }

func choice(of ...string) kind[string] {
	want := "want " + strconv.Quote(of[len(of)-1])
	for i := len(of) - 2; i >= 0; i-- {
		sep := " or "
		if i < len(of)-2 {
			sep = ", "
		}
		want = "want " + strconv.Quote(of[i]) + sep + strings.TrimPrefix(want, "want ")
	}
	return text(want, func(s string) (string, error) {
		if !slices.Contains(of, s) {
			return "", errKind
		}
		return s, nil
	}, same)
}

// size is an expression that comes to least..most bytes; "" is 0, if unset says what that means.
func size(least, most int64, unset string) kind[int64] {
	want := fmt.Sprintf(`want a size of %s to %s, such as "8GiB" or "min(ram / 2, 8GiB)"`, Size(least), Size(most))
	if unset != "" {
		want += `, or "" for ` + unset
	}
	return kind[int64]{want, func(e entry, ram int64) (int64, error) {
		switch {
		case e.kind == unstable.String && e.data == "" && unset != "":
			return 0, nil
		case e.kind == unstable.Integer:
			return 0, fmt.Errorf("a number without a unit: write \"%sMiB\", if that is meant", e.data)
		case e.kind != unstable.String:
			return 0, errKind
		}
		n, err := Evaluate(e.data, ram)
		if err == nil && (n < least || n > most) {
			err = fmt.Errorf("comes to %s", report.Bytes(n))
		}
		return n, err
	}, func(n int64) string {
		if n == 0 {
			return `""`
		}
		return strconv.Quote(Size(n))
	}}
}

// Size writes bytes so that Evaluate reads the same number, in the largest unit that leaves no rest.
func Size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for i < len(units)-1 && n != 0 && n%1024 == 0 {
		n /= 1024
		i++
	}
	return strconv.FormatInt(n, 10) + units[i]
}

func integer(least, most int) kind[int] {
	return kind[int]{fmt.Sprintf("want a number from %d to %d", least, most), func(e entry, _ int64) (int, error) {
		n, err := strconv.Atoi(strings.ReplaceAll(e.data, "_", ""))
		if e.kind != unstable.Integer || err != nil || n < least || n > most {
			return 0, errKind
		}
		return n, nil
	}, strconv.Itoa}
}

// percent is written as 40 or "40%".
func percent(least int) kind[int] {
	number := integer(least, 100)
	return kind[int]{fmt.Sprintf(`want a share of %d to 100 percent, such as 40 or "40%%"`, least), func(e entry, ram int64) (int, error) {
		if digits, ok := strings.CutSuffix(e.data, "%"); ok && e.kind == unstable.String {
			e = entry{kind: unstable.Integer, data: strings.TrimSpace(digits)}
		}
		return number.parse(e, ram)
	}, strconv.Itoa}
}

var boolean = kind[bool]{"want true or false, without quotes", func(e entry, _ int64) (bool, error) {
	if e.kind != unstable.Bool {
		return false, errKind
	}
	return e.data == "true", nil
}, strconv.FormatBool}

func duration(least, most time.Duration) kind[time.Duration] {
	want := fmt.Sprintf(`want a time from %s to %s, such as "10s", "5m" or "1h30m"`, short(least), short(most))
	return text(want, func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return 0, errKind
		}
		return d, nil
	}, short)
}

// short leaves the zeros out: 1h0m0s is 1h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// hold is a number of faults per second, or a word.
var hold = kind[float64]{`want a number of faults per second, "auto" or "off"`, func(e entry, _ int64) (float64, error) {
	if e.kind == unstable.String {
		switch e.data {
		case "auto":
			return HoldAuto, nil
		case "off":
			return HoldOff, nil
		}
		return 0, errKind
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(e.data, "_", ""), 64)
	if e.kind != unstable.Integer && e.kind != unstable.Float || err != nil || !(n >= 0 && n <= 1e9) {
		return 0, errKind
	}
	return n, nil
}, func(n float64) string {
	switch n {
	case HoldAuto:
		return `"auto"`
	case HoldOff:
		return `"off"`
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}}

// codec is a compressor; of one family only, or None, if that is given.
func codec(family string) kind[string] {
	want := "want one of " + strings.Join(compressor.Names(), ", ")
	if family != "" {
		want = fmt.Sprintf("want %q, with a level if you like (%q), or %q", family, family+":9", None)
	}
	return text(want, func(s string) (string, error) {
		if base, _, _ := strings.Cut(s, ":"); family != "" && base != family && s != None {
			return "", errKind
		}
		name, err := compressor.Canonical(s)
		if err != nil {
			return "", errKind
		}
		return name, nil
	}, same)
}

func path(most int, unset string) kind[string] {
	want := fmt.Sprintf("want an absolute path of at most %d bytes", most)
	if unset != "" {
		want += `, or "" for ` + unset
	}
	return text(want, func(s string) (string, error) {
		if s == "" && unset != "" {
			return s, nil
		}
		if !filepath.IsAbs(s) || filepath.Clean(s) != s || s == "/" || len(s) > most || strings.ContainsRune(s, 0) {
			return "", errKind
		}
		return s, nil
	}, same)
}

var loopback = text(`want a loopback address with a port, such as "127.0.0.1:9101" or "[::1]:9101", or "" for none`, func(s string) (string, error) {
	a, err := netip.ParseAddrPort(s)
	if s != "" && (err != nil || !a.Addr().IsLoopback() || a.Port() == 0) {
		return "", errKind
	}
	return s, nil
}, same)

var group = text(`want the name of a group, or "" for root only`, func(s string) (string, error) {
	if len(s) > 32 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 127 || strings.ContainsRune(`:,/"\`, r) }) {
		return "", errKind
	}
	return s, nil
}, same)
