// Command generate prints ../table.tsv: what the Go library Masterminds/semver says about version constraints, for the
// tests of the code that has to say the same. It is run by hand, in this directory, with Go 1.21 or newer:
//
//	go run . > ../table.tsv
//
// Another release of the library: `go get github.com/Masterminds/semver/v3@VERSION && go mod tidy`, run, and look at the diff.
//
// The table's lines, with fields between tabs:
//
//	# MODULE VERSION
//	versions   TAG...           the tags of the bits below; all of them can be read
//	parse      TAG  NORMALISED  how NewVersion reads a tag; `!` where it refuses it
//	CONSTRAINT BITS             whether Check passes, 1 or 0 for each of the versions; `!` where NewConstraint refuses it
//
// In a tag or a constraint `\t`, `\n`, `\r`, `\\` and `\u{HEX}` stand for one character each. No constraint is the word
// `versions` or `parse`.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/Masterminds/semver/v3"
)

const library = "github.com/Masterminds/semver/v3"

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()

	fmt.Fprintf(out, "# %s %s\n", library, libraryVersion())
	fmt.Fprint(out, "versions")
	for _, tag := range versions {
		fmt.Fprintf(out, "\t%s", escaped(tag))
	}
	fmt.Fprintln(out)

	var read []*semver.Version
	for _, tag := range versions {
		version, err := semver.NewVersion(tag)
		if err != nil {
			panic(fmt.Sprintf("%q: %v; it belongs to otherTags", tag, err))
		}
		read = append(read, version)
	}
	for _, tag := range append(append([]string{}, versions...), otherTags...) {
		normalised := "!"
		if version, err := semver.NewVersion(tag); err == nil {
			normalised = version.String()
		}
		fmt.Fprintf(out, "parse\t%s\t%s\n", escaped(tag), normalised)
	}

	seen := map[string]bool{"versions": true, "parse": true}
	for _, text := range constraints {
		if seen[text] {
			panic(fmt.Sprintf("%q is there already", text))
		}
		seen[text] = true
		fmt.Fprintf(out, "%s\t%s\n", escaped(text), checks(text, read))
	}
}

// checks answers one bit per version, or `!` for a constraint that is refused.
func checks(text string, read []*semver.Version) string {
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return "!"
	}
	var bits strings.Builder
	for _, version := range read {
		if constraint.Check(version) {
			bits.WriteByte('1')
		} else {
			bits.WriteByte('0')
		}
	}
	return bits.String()
}

func libraryVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == library {
			return module.Version
		}
	}
	panic("the build does not name the library")
}

func escaped(text string) string {
	var out strings.Builder
	for _, character := range text {
		switch {
		case character == '\t':
			out.WriteString(`\t`)
		case character == '\n':
			out.WriteString(`\n`)
		case character == '\r':
			out.WriteString(`\r`)
		case character == '\\':
			out.WriteString(`\\`)
		case character < ' ' || character > '~':
			fmt.Fprintf(&out, `\u{%x}`, character)
		default:
			out.WriteRune(character)
		}
	}
	return out.String()
}
