package rules

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"bugcheck/win"
)

// example is a piece of a report that a rule must match, or must not.
type example struct {
	line, column int
	report       view
	match        bool
}

// tests reads the examples of a rule.
func (p *parser) tests(n *yaml.Node) []example {
	var list []example
	take := func(match bool) func(*yaml.Node) {
		return func(v *yaml.Node) {
			for _, e := range p.list(v, "examples") {
				report, _ := p.value(e, "Report").(map[string]any)
				list = append(list, example{e.Line, e.Column, report, match})
			}
		}
	}
	p.mapping(n, "tests", map[string]func(*yaml.Node){"match": take(true), "no_match": take(false)})
	return list
}

// value reads a node as a type of objects: the piece of a report that it stands
// for. A string is what is written, so that 0xd1 needs no quotes.
func (p *parser) value(n *yaml.Node, word string) any {
	element, isList := strings.CutPrefix(word, "[]")
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "%v", errAlias)
	case isList:
		list := []any{}
		for _, e := range p.list(n, "this field") {
			list = append(list, p.value(e, element))
		}
		return list
	case isObject(word):
		return p.object(n, word)
	case n.Kind != yaml.ScalarNode:
		p.fail(n, "this field is a %s", word)
	default:
		return p.scalar(n, word)
	}
	return nil
}

func (p *parser) object(n *yaml.Node, word string) map[string]any {
	object := map[string]any{}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "this field has fields of its own: FIELD: VALUE")
		return object
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field := fieldType(word, key.Value)
		if field == "" {
			p.fail(key, "a report has no field %q here; it has %s", key.Value, strings.Join(fieldNames(word), ", "))
			continue
		}
		object[key.Value] = p.value(value, field)
	}
	return object
}

func (p *parser) scalar(n *yaml.Node, word string) any {
	var v any = n.Value
	var err error
	switch word {
	case "int":
		v, err = strconv.ParseInt(n.Value, 10, 64)
	case "bool":
		v, err = strconv.ParseBool(n.Value)
	}
	if err != nil {
		p.fail(n, "this field is a %s, not %q", map[string]string{"int": "number", "bool": "true or false"}[word], n.Value)
	}
	return v
}

// Outcome is what the examples of one rule showed.
type Outcome struct {
	Rule     string
	Examples int
	Failures []string // FILE:LINE:COLUMN: what is wrong
}

// Test tries every rule on its own examples; file is the name to show.
func (s *Set) Test(file string) []Outcome {
	var list []Outcome
	for _, r := range s.rules {
		o := Outcome{Rule: r.name, Examples: len(r.tests)}
		for _, e := range r.tests {
			if wrong := r.try(e); wrong != "" {
				o.Failures = append(o.Failures, Problem{file, e.line, e.column, wrong}.String())
			}
		}
		list = append(list, o)
	}
	return list
}

// try says what is wrong with an example, "" if nothing is.
func (r *rule) try(e example) string {
	switch yes, err := r.matches(e.report); {
	case err != nil:
		return fmt.Sprintf("the rule cannot be evaluated on this example: %s", win.Clean(err.Error()))
	case e.match && !yes:
		return "the rule must match this example and does not"
	case !e.match && yes:
		return "the rule must not match this example and does"
	}
	return ""
}
