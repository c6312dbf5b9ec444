// Package report says what a run came to: as JSON, a contract that programs may rely on, and for people.
//
// Fields are added, never removed or renamed; a change of meaning would be a new version.
package report
