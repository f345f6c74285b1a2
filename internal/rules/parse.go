package rules

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"bugcheck/win"
)

// The limits of a rule file: far above what people write, low enough that a wrong
// file cannot hold up a run.
const (
	MaxFile  = 1 << 20 // bytes
	maxRules = 1000
	maxName  = 200  // characters of a name or an owner
	maxText  = 2000 // characters of advice or a link
)

// Problem is one thing that is wrong with a rule file.
type Problem struct {
	File         string
	Line, Column int // from 1
	Text         string
}

func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", win.Clean(p.File), p.Line, p.Column, win.Clean(p.Text))
}

// Problems are all that is wrong with a rule file, in its order.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads a rule file; name is shown in problems. Its error is a Problems.
func Parse(name string, b []byte) (*Set, error) {
	p := &parser{file: name, lines: strings.Split(string(b), "\n")}
	s := &Set{}
	if root := p.document(b); root != nil {
		p.mapping(root, "a rule file", map[string]func(*yaml.Node){"rules": func(n *yaml.Node) { s.rules = p.rules(n) }})
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, p.problems
	}
	return s, nil
}

type parser struct {
	file     string
	lines    []string
	problems Problems
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.failAt(n.Line, n.Column, format, args...)
}

func (p *parser) failAt(line, column int, format string, args ...any) {
	p.problems = append(p.problems, Problem{p.file, max(line, 1), max(column, 1), fmt.Sprintf(format, args...)})
}

// yamlLine is how the YAML library says where a file is wrong.
var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// document is the root of the file, nil after a problem. Nodes are read as they
// stand and an alias is refused, so that a small file cannot unfold into a large one.
func (p *parser) document(b []byte) *yaml.Node {
	if len(b) > MaxFile {
		p.failAt(1, 1, "a rule file has at most %d bytes; this has %d", MaxFile, len(b))
		return nil
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		m := yamlLine.FindStringSubmatch(err.Error())
		line, _ := strconv.Atoi(m[1])
		if text := strings.TrimPrefix(err.Error(), m[0]); text != "EOF" {
			p.failAt(line, 1, "not YAML: %s", text)
		} else {
			p.failAt(1, 1, "an empty file: rules begin with the line \"rules:\"")
		}
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		p.failAt(1, 1, "rules begin with the line \"rules:\"")
		return nil
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		p.failAt(more.Line, more.Column, "a rule file is one document: what stands behind --- is not read")
		return nil
	}
	return doc.Content[0]
}

// mapping calls for each key what reads its value.
func (p *parser) mapping(n *yaml.Node, what string, keys map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s is a list of KEY: VALUE", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read, known := keys[key.Value]
		switch {
		case !known:
			p.fail(key, "%s has no %q; it has %s", what, key.Value, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		case seen[key.Value]:
			p.fail(key, "%q stands here twice", key.Value)
		default:
			read(value)
		}
		seen[key.Value] = true
	}
}

// list is the elements of a list.
func (p *parser) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "%s is a list, each beginning with \"- \"", what)
		return nil
	}
	return n.Content
}

// text is a scalar without control characters.
func (p *parser) text(n *yaml.Node, limit int) string {
	s := strings.TrimSpace(n.Value)
	switch length := utf8.RuneCountInString(s); {
	case n.Kind != yaml.ScalarNode || s == "":
		p.fail(n, "a text is missing here")
	case length > limit:
		p.fail(n, "a text of %d characters; at most %d", length, limit)
	}
	return win.Clean(strings.Join(strings.Fields(s), " "))
}

func (p *parser) rules(n *yaml.Node) []*rule {
	elements := p.list(n, "rules")
	if len(elements) > maxRules {
		p.fail(elements[maxRules], "more than %d rules", maxRules)
		elements = elements[:maxRules]
	}
	names := map[string]int{}
	var list []*rule
	for _, e := range elements {
		r := p.rule(e)
		if line, taken := names[r.name]; taken && r.name != "" {
			p.fail(e, "the name %q is that of the rule at line %d", r.name, line)
		}
		names[r.name] = r.line
		list = append(list, r)
	}
	return list
}

func (p *parser) rule(n *yaml.Node) *rule {
	r := &rule{line: n.Line}
	var when *yaml.Node
	before := len(p.problems)
	p.mapping(n, "a rule", map[string]func(*yaml.Node){
		"name":  func(v *yaml.Node) { r.name = p.text(v, maxName) },
		"when":  func(v *yaml.Node) { when = v },
		"issue": func(v *yaml.Node) { r.issue = p.issue(v) },
		"owner": func(v *yaml.Node) { r.owner = p.text(v, maxName) },
		"tests": func(v *yaml.Node) { r.tests = p.tests(v) },
	})
	if when != nil {
		p.condition(r, when)
	}
	switch {
	case len(p.problems) > before:
	case r.name == "":
		p.fail(n, "a rule without a name")
	case when == nil:
		p.fail(n, "rule %q has no condition (when)", r.name)
	case r.issue == nil && r.owner == "":
		p.fail(n, "rule %q adds nothing: give it an issue or an owner", r.name)
	}
	return r
}

func (p *parser) issue(n *yaml.Node) *issue {
	i := &issue{}
	before := len(p.problems)
	p.mapping(n, "an issue", map[string]func(*yaml.Node){
		"name":   func(v *yaml.Node) { i.name = p.words(v, maxName) },
		"link":   func(v *yaml.Node) { i.link = p.link(v) },
		"advice": func(v *yaml.Node) { i.advice = p.words(v, maxText) },
	})
	if len(i.name) == 0 && len(p.problems) == before {
		p.fail(n, "an issue without a name")
	}
	return i
}

// words is a text, or one for each language.
func (p *parser) words(n *yaml.Node, limit int) words {
	if n.Kind == yaml.ScalarNode {
		return words{win.English: p.text(n, limit)}
	}
	w := words{}
	p.mapping(n, "a text in several languages", map[string]func(*yaml.Node){
		"en": func(v *yaml.Node) { w[win.English] = p.text(v, limit) },
		"ja": func(v *yaml.Node) { w[win.Japanese] = p.text(v, limit) },
	})
	return w
}

// link is the address of a web page.
func (p *parser) link(n *yaml.Node) string {
	s := p.text(n, maxText)
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || strings.ContainsAny(s, " <>\"`|\\") {
		p.fail(n, "a link is the address of a web page: https://…")
		return ""
	}
	return s
}

// condition compiles the expression of a rule.
func (p *parser) condition(r *rule, n *yaml.Node) {
	source := strings.TrimRight(n.Value, "\n ")
	if n.Kind != yaml.ScalarNode || source == "" {
		p.fail(n, "a condition is missing here")
		return
	}
	program, complaints := compile(source)
	for _, c := range complaints {
		line, column := p.position(n, source, c.line, c.column)
		p.failAt(line, column, "%s", plainText(c.text))
	}
	r.when = program
}

// plainText is the first line of a message of CEL, without the list of all that
// could stand in the place of what is wrong.
func plainText(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	s, _, _ = strings.Cut(s, " expecting {")
	return strings.TrimSpace(s)
}

// position is where in the file a place of a condition stands: exact where its line
// stands in the file as it is, in a block behind | or behind the key; else, where YAML
// folds lines or undoes quotes, the beginning of the value.
func (p *parser) position(n *yaml.Node, source string, line, column int) (int, int) {
	sourceLines := strings.Split(source, "\n")
	if line > len(sourceLines) {
		line, column = len(sourceLines), len(sourceLines[len(sourceLines)-1])
	}
	at := n.Line + line - 1 // the number from 1 of the line in the file
	if n.Style&yaml.LiteralStyle != 0 {
		at++
	}
	shown := strings.TrimRight(sourceLines[line-1], " \r")
	if at > len(p.lines) || shown == "" {
		return n.Line, n.Column
	}
	before, after := "", p.lines[at-1]
	if at == n.Line {
		before, after = splitAt(after, n.Column-1)
	}
	begin := strings.Index(after, shown)
	if begin < 0 {
		return n.Line, n.Column
	}
	return at, utf8.RuneCountInString(before+after[:begin]) + column + 1
}

// splitAt parts a text behind n characters.
func splitAt(s string, n int) (before, after string) {
	for i := range s {
		if n <= 0 {
			return s[:i], s[i:]
		}
		n--
	}
	return s, ""
}

// errAlias is what p.value says of a YAML alias.
var errAlias = errors.New("an example is written out: no alias (*)")
