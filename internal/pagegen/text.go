package pagegen

// fillText writes sentences: common words, words of the theme's topic, and every few words a phrase that occurred before.
func fillText(page *[PageSize]byte, theme, r random) {
	const (
		topics = 64
		phrase = 64 // bytes of the longest phrase, and of the first words, which are none
	)
	repeats := 20 + zipf(theme.next(), 230) // phrases in 256 steps; the others are three words, one of them of the topic
	var topic [topics]*word
	for i := range topic {
		topic[i] = &vocabulary[theme.below(words)]
	}
	n := 0
	for n < PageSize-phrase {
		v := r.next()
		if int(v&0xff) < repeats && n > phrase {
			from := int(v >> 32 * uint64(n-phrase) >> 32)
			*(*[phrase]byte)(page[n:]) = *(*[phrase]byte)(page[from:])
			n += phrase/4 + int(v>>8&31)
			continue
		}
		n = put(page, n, &vocabulary[zipf(v>>32, words)], v>>24&15)
		w := r.next()
		n = put(page, n, topic[v>>8%topics], v>>16&15)
		n = put(page, n, &vocabulary[zipf(w>>32, words)], w&15)
	}
	copy(page[n:], page[:PageSize-n])
}

// separators are what follows a word, and how many bytes of it count.
var separators = [16][3]byte{{' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1},
	{' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {' ', ' ', 1}, {',', ' ', 2}, {'.', ' ', 2}, {'\n', ' ', 1}, {'_', ' ', 1}}

// put writes a word and what follows it.
func put(page *[PageSize]byte, n int, w *word, separator uint64) int {
	*(*[wordRoom]byte)(page[n:]) = w.text
	n += int(w.n)
	s := &separators[separator]
	page[n], page[n+1] = s[0], s[1]
	return n + int(s[2])
}
