package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	pageSize = 4096
	maxSize  = 1 << 60 // bytes: more than any machine has, and two of them can be added
	maxText  = 256     // bytes of an expression
	maxDepth = 32      // parentheses in parentheses
)

// Evaluate computes a size in bytes, rounded down to whole pages: numbers, + - * /, parentheses, min(…), max(…) and ram. A number
// with a unit (K, M, G, T, or KiB …, all powers of 1024; B) is a size, one without is a factor: what is added or compared
// must be of one kind, and the result must be a size. So 4096 alone, which zram-generator would take for MiB, is refused.
func Evaluate(text string, ram int64) (int64, error) {
	if len(text) > maxText {
		return 0, fmt.Errorf("longer than %d characters", maxText)
	}
	e := evaluator{rest: text, ram: float64(ram)}
	q, err := e.sum()
	if e.peek(); err == nil && e.rest != "" {
		err = fmt.Errorf("nothing was expected at %q", e.rest)
	}
	switch {
	case err != nil:
		return 0, err
	case !q.size:
		return 0, fmt.Errorf("a number without a unit: write %sMiB, if that is meant", strings.TrimSpace(text))
	case !(q.n >= 0 && q.n <= maxSize):
		return 0, fmt.Errorf("comes to %g bytes", q.n)
	}
	return pages(q.n), nil
}

// pages rounds down. n is not negative.
func pages(n float64) int64 { return int64(n) / pageSize * pageSize }

// quantity is a size in bytes, or a plain number.
type quantity struct {
	n    float64
	size bool
}

// evaluator walks once over the text, a function for each level of precedence.
type evaluator struct {
	rest  string
	ram   float64
	depth int
}

// peek returns the next character that is no space, or 0.
func (e *evaluator) peek() byte {
	e.rest = strings.TrimLeft(e.rest, " \t")
	if e.rest == "" {
		return 0
	}
	return e.rest[0]
}

func (e *evaluator) take(c byte) bool {
	if e.peek() != c {
		return false
	}
	e.rest = e.rest[1:]
	return true
}

func (e *evaluator) sum() (quantity, error) {
	a, err := e.product()
	for err == nil {
		c := e.peek()
		if c != '+' && c != '-' {
			break
		}
		e.take(c)
		var b quantity
		if b, err = e.product(); err == nil && a.size != b.size {
			err = fmt.Errorf("%c between a size and a number without a unit", c)
		}
		if c == '-' {
			b.n = -b.n
		}
		a.n += b.n
	}
	return a, err
}

func (e *evaluator) product() (quantity, error) {
	a, err := e.atom()
	for err == nil {
		c := e.peek()
		if c != '*' && c != '/' {
			break
		}
		e.take(c)
		var b quantity
		if b, err = e.atom(); err != nil {
			break
		}
		switch {
		case c == '*' && a.size && b.size:
			err = fmt.Errorf("a size times a size is none")
		case c == '*':
			a = quantity{a.n * b.n, a.size || b.size}
		case b.n == 0:
			err = fmt.Errorf("a division by zero")
		case b.size && !a.size:
			err = fmt.Errorf("a number divided by a size is none")
		default:
			a = quantity{a.n / b.n, a.size != b.size}
		}
	}
	if err == nil && math.IsInf(a.n, 0) {
		err = fmt.Errorf("too large a number")
	}
	return a, err
}

// atom is a number, ram, a call, or a sum in parentheses.
func (e *evaluator) atom() (quantity, error) {
	c := e.peek()
	switch {
	case c == '(':
		return e.nested(func() (quantity, error) { return e.sum() })
	case isDigit(c) || c == '.':
		return e.number()
	case c == 0:
		return quantity{}, fmt.Errorf("it ends where a size or a number was expected")
	}
	word := e.word()
	switch word {
	case "ram":
		return quantity{e.ram, true}, nil
	case "min":
		return e.call(word, math.Min)
	case "max":
		return e.call(word, math.Max)
	}
	return quantity{}, fmt.Errorf("no number, no ram, no min(…) or max(…) at %q", word+e.rest)
}

func (e *evaluator) call(name string, f func(a, b float64) float64) (quantity, error) {
	if e.peek() != '(' {
		return quantity{}, fmt.Errorf("%s without parentheses", name)
	}
	return e.nested(func() (quantity, error) {
		a, err := e.sum()
		for err == nil && e.take(',') {
			var b quantity
			if b, err = e.sum(); err == nil && a.size != b.size {
				err = fmt.Errorf("%s of a size and a number without a unit", name)
			}
			a.n = f(a.n, b.n)
		}
		return a, err
	})
}

// nested evaluates what is in parentheses.
func (e *evaluator) nested(inner func() (quantity, error)) (quantity, error) {
	if e.depth++; e.depth > maxDepth {
		return quantity{}, fmt.Errorf("more than %d parentheses in each other", maxDepth)
	}
	e.take('(')
	q, err := inner()
	if err == nil && !e.take(')') {
		err = fmt.Errorf("a parenthesis is not closed")
	}
	e.depth--
	return q, err
}

var unitSizes = map[string]float64{
	"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
	"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

func (e *evaluator) number() (quantity, error) {
	end := 0
	for end < len(e.rest) && (isDigit(e.rest[end]) || e.rest[end] == '.') {
		end++
	}
	digits := e.rest[:end]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return quantity{}, fmt.Errorf("%q is no number", digits)
	}
	e.rest = e.rest[end:]
	e.peek()
	unit := e.word()
	if unit == "" {
		return quantity{n, false}, nil
	}
	factor, ok := unitSizes[strings.ToLower(unit)]
	if !ok {
		return quantity{}, fmt.Errorf("%q is no unit: K, M, G, T or KiB, MiB, GiB, TiB, all powers of 1024", unit)
	}
	return quantity{n * factor, true}, nil
}

// word takes letters, as many as there are.
func (e *evaluator) word() string {
	end := 0
	for end < len(e.rest) && (e.rest[end]|0x20 >= 'a' && e.rest[end]|0x20 <= 'z') {
		end++
	}
	w := e.rest[:end]
	e.rest = e.rest[end:]
	return w
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
