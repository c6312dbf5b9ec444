package config

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestEvaluate(t *testing.T) {
	const ram = 16 * gib
	for text, want := range map[string]int64{
		"ram":                        ram,
		"ram / 2":                    8 * gib,
		"min(ram / 2, 8GiB)":         8 * gib,
		"min(ram/2,4096M)":           4 * gib,
		"max(1G, ram / 64, 256 MiB)": gib,
		"max(ram)":                   ram,
		"2 * (1GiB + 512MiB) - 1G":   2 * gib,
		"ram * 3 / 4":                12 * gib,
		"ram / 1GiB * 2MiB":          32 << 20,
		"0.5 * ram":                  8 * gib,
		"8GiB - 4GiB - 2GiB":         2 * gib,
		"16GiB / 4 / 2":              2 * gib,
		"1T":                         1 << 40,
		"4kib":                       4096,
		"8191B":                      4096, // whole pages
		"0B":                         0,
		" ( ( ram ) ) ":              ram,
		"ram * (1 + 1)":              32 * gib,
		".5GiB":                      gib / 2,
		"ram * min(1, 2)":            ram,
		strings.Repeat("(", 32) + "ram" + strings.Repeat(")", 32): ram,
	} {
		if got, err := Evaluate(text, ram); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

func TestEvaluateRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "it ends",
		"4096":                "write 4096MiB",
		"min(ram / 2, 4096)":  "min of a size and a number without a unit",
		"ram + 1":             "+ between a size and a number without a unit",
		"ram * ram":           "a size times a size",
		"2 / ram":             "a number divided by a size",
		"ram / ram":           "without a unit",
		"ram / 0":             "division by zero",
		"ram / (1 - 1)":       "division by zero",
		"1GiB - 2GiB":         "comes to -1.07",
		"1TiB * 1TiB":         "a size times",
		"ram * 1000000000000": "comes to",
		"8GiB)":               "nothing was expected",
		"(8GiB":               "not closed",
		"min 8GiB":            "without parentheses",
		"min()":               `at ")"`,
		"8 GiB 4":             "nothing was expected",
		"8 Gigs":              `"Gigs" is no unit`,
		"1.2.3G":              `"1.2.3" is no number`,
		"RAM":                 `at "RAM"`,
		"swap / 2":            "no number",
		"-1GiB":               "no number",
		"8e3":                 `"e" is no unit`,
		"50%":                 "nothing was expected",
		strings.Repeat("(", 33) + "ram" + strings.Repeat(")", 33): "parentheses in each other",
		strings.Repeat(" ", 256) + "ram":                          "longer than",
		strings.Repeat("9", 250) + "T":                            "comes to",
		"ram\x00":                                                 "nothing was expected",
	} {
		if got, err := Evaluate(text, 16*gib); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %d, %v, want %q", text, got, err, want)
		}
	}
}

// tree makes a random expression, and its value by another way: while it is made.
func tree(r *rand.Rand, depth int, size bool, ram float64) (string, float64) {
	if depth == 0 || r.IntN(4) == 0 {
		n := float64(1 + r.IntN(100))
		switch {
		case !size:
			return fmt.Sprint(n), n
		case r.IntN(3) == 0:
			return "ram", ram
		}
		return fmt.Sprint(n, "MiB"), n * (1 << 20)
	}
	a, av := tree(r, depth-1, size, ram)
	switch op := r.IntN(6); op {
	case 0, 1:
		b, bv := tree(r, depth-1, size, ram)
		if op == 0 {
			return "(" + a + " + " + b + ")", av + bv
		}
		return "max(" + a + ", " + b + ")", math.Max(av, bv)
	case 2:
		b, bv := tree(r, depth-1, size, ram)
		return "min(" + a + "," + b + ")", math.Min(av, bv)
	case 3:
		b, bv := tree(r, depth-1, false, ram)
		return a + " / (" + b + ")", av / bv
	case 4:
		b, bv := tree(r, depth-1, false, ram)
		return "(" + b + ") * (" + a + ")", bv * av
	default:
		b, bv := tree(r, depth-1, size, ram)
		return "(" + a + " + " + b + " - " + b + ")", av + bv - bv
	}
}

func TestEvaluateRandomTrees(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		ram := int64(1+r.IntN(1024)) << 26
		text, want := tree(r, 4, true, float64(ram))
		got, err := Evaluate(text, ram)
		if len(text) > maxText || want > maxSize {
			if err == nil {
				t.Fatalf("seed %d: %s: %d", seed, text, got)
			}
			continue
		}
		if err != nil || got != pages(want) {
			t.Fatalf("seed %d: %s: %d, %v, want %d", seed, text, got, err, pages(want))
		}
	}
}

// FuzzEvaluate: no panic, whole pages within bounds, the same again, and what is shown of the result is read as it.
func FuzzEvaluate(f *testing.F) {
	for _, s := range []string{"min(ram / 2, 8GiB)", "((ram))", "1.5G*2-3k", "max(1,2)*ram", "/", "ram/0", "9e9G", "min(min(min(ram"} {
		f.Add(s, int64(gib))
	}
	f.Fuzz(func(t *testing.T, text string, ram int64) {
		ram = ram & (1<<50 - 1)
		n, err := Evaluate(text, ram)
		if again, err2 := Evaluate(text, ram); again != n || (err == nil) != (err2 == nil) {
			t.Fatal("not the same again")
		}
		if err != nil {
			if n != 0 {
				t.Fatalf("%d with %v", n, err)
			}
			return
		}
		if n < 0 || n > maxSize || n%pageSize != 0 {
			t.Fatalf("%d bytes", n)
		}
		if back, err := Evaluate(Size(n), 0); back != n || err != nil {
			t.Fatalf("%d is shown as %s, which is %d, %v", n, Size(n), back, err)
		}
	})
}

// FuzzParse: whatever a file holds, there is no panic, each problem names a line that is there, and what loads is shown as a
// text that loads as the same.
func FuzzParse(f *testing.F) {
	f.Add(Default())
	f.Add("swap = { size = \"1GiB\" }\n[pool]\nmax_pool_percent = 30")
	f.Add("[[swap]]\nsize = 1\n\"swap.size\" = 2\n[a.b]\n")
	f.Add("door = '''\nfuse'''\nspin = 1979-05-27T07:32:00Z\nx = [1, {y = 2}]")
	f.Fuzz(func(t *testing.T, text string) {
		entries, problems := parse("f", []byte(text))
		c, err := assemble(entries, problems, 4*gib, true)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.At.Line < 0 || p.At.Line > 1+strings.Count(text, "\n") || p.Want == "" {
					t.Fatalf("%+v", p)
				}
			}
			return
		}
		var b strings.Builder
		if _, err := c.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		entries, problems = parse("shown", []byte(b.String()))
		again, err := assemble(entries, problems, 4*gib, true)
		if err != nil || len(Diff(c, again)) > 0 {
			t.Fatalf("%v, %v\n%s", err, Diff(c, again), b.String())
		}
	})
}
