package pagegen

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A recorded run can be repeated by any later version: these hashes change only when the pages do.
func TestPagesNeverChange(t *testing.T) {
	golden := map[Kind]string{
		Java:   "890f5643f91f1299",
		Node:   "d2138804b4c0b12d",
		Python: "b7a4e7d596d53816",
		Text:   "df2428f2226865f7",
		JSON:   "eebf6b260d1c753f",
		Code:   "3e3c79c169566823",
		Sparse: "90be1c9052147845",
		Random: "9343502c54097cbc",
		Same:   "394083c914eee13f",
		Redis:  "7ff233e1328aaa5d",
	}
	page := make([]byte, PageSize)
	for k := range Kinds {
		h := sha256.New()
		for seed := range uint64(200) {
			Fill(page, k, seed/16, seed)
			h.Write(page)
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != golden[k] {
			t.Errorf("%v: hash %s, want %s", k, got, golden[k])
		}
	}
	s := Source{Mix: Typical, Seed: 42}
	h := sha256.New()
	for index := range uint64(1600) {
		s.Fill(page, index, index%3)
		h.Write(page)
	}
	if got, want := fmt.Sprintf("%x", h.Sum(nil)[:8]), "d7c48b55bb2f771e"; got != want {
		t.Errorf("typical: hash %s, want %s", got, want)
	}
}

// Fill writes every byte, whatever was there, and the same bytes each time.
func TestFillIsAFunctionOfItsArguments(t *testing.T) {
	for k := range Kinds {
		for seed := range uint64(300) {
			var a, b [PageSize]byte
			for i := range b {
				b[i] = 0xa5
			}
			Fill(a[:], k, seed%5, seed)
			Fill(b[:], k, seed%5, seed)
			if a != b {
				t.Fatalf("%v, seed %d: two calls differ", k, seed)
			}
		}
	}
}

// No page occurs twice, whether in one version of an image, in the next, or in the image of another seed.
func TestPagesAreDistinct(t *testing.T) {
	t.Run("typical", func(t *testing.T) { testDistinct(t, Typical) })
	t.Run("redis", func(t *testing.T) { testDistinct(t, Only(Redis)) }) // its records differ little
}

func testDistinct(t *testing.T, m Mix) {
	const pages = 100 * RunPages // every kind is among them
	seen := make(map[[16]byte]string)
	page := make([]byte, PageSize)
	for _, seed := range []uint64{0, 1} {
		s := Source{Mix: m, Seed: seed}
		for version := range uint64(2) {
			for index := range uint64(pages) {
				if s.Kind(index) == Same {
					continue
				}
				s.Fill(page, index, version)
				sum := sha256.Sum256(page)
				where := fmt.Sprintf("seed %d, page %d, version %d, %v", seed, index, version, s.Kind(index))
				key := [16]byte(sum[:])
				if other, ok := seen[key]; ok {
					t.Fatalf("%s equals %s", where, other)
				}
				seen[key] = where
			}
		}
	}
}

func TestMixIsExact(t *testing.T) {
	s := Source{Mix: Typical, Seed: 12345}
	var got Mix
	for run := range uint64(100) {
		k := s.Kind(run * RunPages)
		got[k]++
		if last := s.Kind(run*RunPages + RunPages - 1); last != k {
			t.Errorf("run %d starts with %v and ends with %v", run, k, last)
		}
	}
	if got != Typical {
		t.Errorf("100 runs: %v, want %v", got, Typical)
	}
	const want = "java heap 15 %, node heap 15 %, python heap 15 %, text 12 %, JSON 15 %, code 10 %, sparse 8 %, random 5 %, same-filled 5 %"
	if Typical.String() != want {
		t.Errorf("typical is %s", Typical)
	}
}

func TestParseMix(t *testing.T) {
	for name, want := range map[string]Mix{"typical": Typical, "java": Only(Java), "same": Only(Same), "redis": Only(Redis)} {
		if got, err := ParseMix(name); err != nil || got != want {
			t.Errorf("ParseMix(%q) = %v, %v", name, got, err)
		}
	}
	if _, err := ParseMix("heap"); err == nil {
		t.Error("ParseMix takes a name that is none")
	}
}

func TestFillDoesNotAllocate(t *testing.T) {
	page := make([]byte, PageSize)
	s := Source{Mix: Typical}
	var index uint64
	if n := testing.AllocsPerRun(1000, func() { s.Fill(page, index, 0); index += 7 }); n != 0 {
		t.Errorf("Fill allocates %v times", n)
	}
}

func TestFillRefusesAPartOfAPage(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Fill(make([]byte, PageSize-1), Text, 0, 0)
}

func BenchmarkFill(b *testing.B) {
	run := func(name string, m Mix) {
		b.Run("pages="+name, func(b *testing.B) {
			page := make([]byte, PageSize)
			s := Source{Mix: m, Seed: 1}
			b.SetBytes(PageSize)
			b.ReportAllocs()
			for i := range b.N {
				s.Fill(page, uint64(i), 0)
			}
		})
	}
	run("typical", Typical)
	for k := range Kinds {
		run(k.String(), Only(k))
	}
}
