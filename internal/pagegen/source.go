package pagegen

// RunPages is how many neighbouring pages of a Source are of one kind and one theme.
const RunPages = 16

// Source is a memory image: page after page, made when asked for.
// Its methods may be called concurrently.
type Source struct {
	Mix  Mix
	Seed uint64
}

// Kind returns the kind of page index. Every 100 runs, 6.25 MiB, hold exactly the percentages of the mix.
func (s *Source) Kind(index uint64) Kind {
	const step = 37 // has no divisor in common with 100, so that 100 runs visit every percent, far from the one before
	return s.Mix.kind(uint8((index/RunPages*step + s.Seed%100) % 100))
}

// Fill writes page index as it is after version changes.
func (s *Source) Fill(page []byte, index, version uint64) {
	theme := mix(s.Seed, index/RunPages)
	Fill(page, s.Kind(index), theme, mix(theme, mix(index, version)))
}
