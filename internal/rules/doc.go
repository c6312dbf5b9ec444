// Package rules holds the tree to its own rules, as a test: who may import whom, where unsafe may be, what every
// package has.
package rules
