package pagegen

import "strings"

const common = `the of and to a in is that it for was on are as with be this by at from or have not an but which one you all
they can has had we there were their been if more when will would who so no out up what about into than them other some time
only could new these two may then do first any my now such like our over me even most made after also did many before must
through back years where much your way well down should because each just those people how too little state good very make
world still own see men work long get here between both life being under never day same another know while last might us great
old year off come since against go came right used take three states himself few house use during without again place around
however home small found thought went say part once general high upon school every don't does got united left number course
war until always away something fact though water less public put think almost hand enough far took head yet government system
better set told nothing night end why called didn't eyes find going look asked later point knew next city program business
give group toward young days let room within president side social given present several order national possible rather second
face per among form often important things looked early white case john become large big need four felt along god church
children power thing seemed light means area name matter members law problem turned least development service interest certain
page value error string return function object file type data line key list option default index buffer kernel memory process
thread lock queue request response server client config version module package import class method field array pointer block
device cache entry table node level signal socket address offset length size count start stop read write open close flush sync
true false null none empty valid invalid ready active pending failed success create update delete insert select where limit
content message header body status code path host port user email token session account payment product customer price total
date created updated timestamp latitude longitude country language description title comment author license copyright software
warranty provided kind express implied including merchantability fitness particular purpose distribution permission notice`

const (
	words    = 2048 // in the vocabulary, the most common first
	wordRoom = 16   // bytes that are copied for a word, whatever its length
)

// word has its text padded with spaces, so that a copy has a fixed length.
type word struct {
	text [wordRoom]byte
	n    uint8 // length of the word
}

var vocabulary = newVocabulary()

// newVocabulary lists the common words, then rarer ones made of their parts.
func newVocabulary() *[words]word {
	v := new([words]word)
	list := strings.Fields(common)
	suffixes := []string{"s", "ed", "ing", "ation", "er", "ment", "ly", "ness", "able", "ity", "ize", "ism", "al", "ous", "ive", "ion"}
	prefixes := []string{"", "", "", "re", "un", "pre", "con", "de", "inter", "sub", "over", "ex"}
	r := random(4)
	for i := range v {
		w := list[i%len(list)]
		if i >= len(list) {
			w = prefixes[r.below(len(prefixes))] + w + suffixes[r.below(len(suffixes))]
		}
		w = w[:min(len(w), wordRoom-2)]
		copy(v[i].text[:], w+"                ")
		v[i].n = uint8(len(w))
	}
	return v
}
