package pagegen

import "fmt"

// PageSize is the length of every page, in bytes.
const PageSize = 4096

// Kind is what a page holds.
type Kind uint8

// The kinds of page.
const (
	Java   Kind = iota // a Java heap: 4-byte compressed pointers, strings
	Node               // a JavaScript heap: 8-byte tagged pointers, doubles, short strings
	Python             // a Python heap: reference counts, type pointers, floats, dictionaries
	Text               // documents and source code
	JSON               // records of one schema
	Code               // x86-64 instructions
	Sparse             // a table or array of which most is zero
	Random             // what no codec makes smaller: encrypted, compressed
	Same               // one 8-byte value throughout: zero, in seven pages of eight
	Redis              // a store of keys and values
	Kinds              // how many there are
)

var names = [Kinds]string{"java", "node", "python", "text", "json", "code", "sparse", "random", "same", "redis"}

// String returns the kind's name, as ParseMix takes it.
func (k Kind) String() string {
	if k >= Kinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return names[k]
}

// Fill writes a page of kind k, purely a function of k, theme and seed. Pages with one theme resemble each other
// as neighbours in memory do; different seeds give different pages, those of kind Same aside.
// It panics unless page is PageSize bytes long.
func Fill(page []byte, k Kind, theme, seed uint64) {
	if len(page) != PageSize {
		panic(fmt.Sprintf("pagegen: a page of %d bytes", len(page)))
	}
	p := (*[PageSize]byte)(page)
	t, r := random(mix(theme, uint64(k))), random(mix(seed, uint64(k)^theme))
	switch k {
	case Java:
		java.fill(p, t, r)
	case Node:
		node.fill(p, t, r)
	case Python:
		python.fill(p, t, r)
	case Text:
		fillText(p, t, r)
	case JSON:
		fillJSON(p, t, r)
	case Code:
		fillCode(p, t, r)
	case Sparse:
		fillSparse(p, t, r)
	case Random:
		fillRandom(p, r)
	case Same:
		fillSame(p, r)
	case Redis:
		fillRedis(p, t, r)
	default:
		panic("pagegen: no such kind: " + k.String())
	}
}
