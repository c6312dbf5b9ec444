package pagegen

import "encoding/binary"

// column is a key of a JSON schema and what its values are like.
type column struct {
	key    word // `"key":`
	kind   uint64
	digits uint8
	few    [4]word // values of a column that has few
}

const (
	numbers    = 96 // columns in 256 that hold numbers
	sentences  = 32 // columns in 256 that hold two words
	maxColumns = 12
	jsonRoom   = 4 * wordRoom // bytes that a key and its value take at most
)

// fillJSON writes records of the theme's schema; a page starts and ends within a record.
func fillJSON(page *[PageSize]byte, theme, r random) {
	var schema [maxColumns]column
	columns := schema[:4+theme.below(maxColumns-3)]
	for i := range columns {
		columns[i].draw(&theme)
	}
	n := 0
	for i := int(r.next() & 3); n < PageSize-jsonRoom; i++ {
		if i >= len(columns) {
			i = 0
			n += copy(page[n-1:n+2], "},{") - 1
		}
		c := &columns[i]
		*(*[wordRoom]byte)(page[n:]) = c.key.text
		n = c.put(page, n+int(c.key.n), r.next())
		page[n] = ','
		n++
	}
	copy(page[n:], page[:PageSize-n])
}

// draw makes a column at random.
func (c *column) draw(theme *random) {
	v := theme.next()
	c.kind, c.digits = v&0xff, uint8(1+v>>8&7)
	c.key.quote(&vocabulary[v>>16%words])
	c.key.text[c.key.n] = ':'
	c.key.n++
	for i := range c.few {
		c.few[i].quote(&vocabulary[theme.below(words)])
	}
}

// quote sets w to a word between quotation marks, shortened so that there is room for one more byte.
func (w *word) quote(of *word) {
	n := min(of.n, wordRoom-3)
	w.text[0] = '"'
	copy(w.text[1:], of.text[:n])
	w.text[n+1] = '"'
	w.n = n + 2
}

// put writes a value and returns where it ends.
func (c *column) put(page *[PageSize]byte, n int, v uint64) int {
	const low, ascii = 0x0f0f_0f0f_0f0f_0f0f, 0x3030_3030_3030_3030
	switch {
	case c.kind < numbers: // eight digits at a time: sixteenths become tenths
		binary.LittleEndian.PutUint64(page[n:], v&low*10>>4&low+ascii)
		return n + int(c.digits)
	case c.kind < numbers+sentences:
		page[n] = '"'
		n++
		for _, w := range [...]*word{&vocabulary[zipf(v, words)], &vocabulary[zipf(v>>32, words)]} {
			*(*[wordRoom]byte)(page[n:]) = w.text
			n += int(w.n) + 1
		}
		page[n-1] = '"'
		return n
	}
	w := &c.few[v%4]
	*(*[wordRoom]byte)(page[n:]) = w.text
	return n + int(w.n)
}
