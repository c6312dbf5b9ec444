package compressor

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// pageKinds are stand-ins for what memory holds. Each fill is deterministic and works for any length from 1.
var pageKinds = []struct {
	name string
	fill func(p []byte)
}{
	{"zero", func(p []byte) { clear(p) }},
	{"random", fillRandom},
	{"sevenbit", fillSevenBit},
	{"text", fillText},
	{"json", fillJSON},
	{"pointers", fillPointers},
	{"words", fillWords},
	{"half", func(p []byte) { clear(p); fillRandom(p[:len(p)/2]) }},
	{"chunks4", fillChunks(4)},
	{"chunks6", fillChunks(6)},
	{"copies", fillCopies},
}

func makePage(fill func([]byte), n int) []byte {
	p := make([]byte, n)
	fill(p)
	return p
}

func fillText(p []byte) {
	words := strings.Fields("the page that went out came back and nobody had asked where it was kept or how small")
	r := rand.New(rand.NewPCG(3, 3))
	for len(p) > 0 {
		p = p[copy(p, words[r.IntN(len(words))]+" "):]
	}
}

func fillJSON(p []byte) {
	for i := 0; len(p) > 0; i++ {
		p = p[copy(p, fmt.Sprintf(`{"id":%d,"name":"user%d","email":"u%d@example.com","score":%.6f},`, i, i, i, float64(i*7919%1000)/997)):]
	}
}

// fillPointers: 8-byte addresses within 1 MiB of a heap, aligned to 16, every fourth one nil.
func fillPointers(p []byte) {
	r := rand.New(rand.NewPCG(4, 4))
	var w [8]byte
	for i := 0; len(p) > 0; i++ {
		v := 0xc000000000 + r.Uint64N(1<<16)<<4
		if i%4 == 3 {
			v = 0
		}
		binary.LittleEndian.PutUint64(w[:], v)
		p = p[copy(p, w[:]):]
	}
}

// fillWords repeats one 8-byte word.
func fillWords(p []byte) {
	for i := range p {
		p[i] = "\x01\x00\xfe\xca\x00\x00\xad\xde"[i%8]
	}
}
