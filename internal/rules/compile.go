package rules

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// The limits of a condition. A useful one is a line or three; the costliest that
// was thought of, every frame beside every module of a large machine, costs some
// hundred thousand of CEL's units. At the limit an evaluation takes well under a
// second.
const (
	maxWhen    = 10_000 // characters
	maxNesting = 50     // of parentheses and the like
	maxCost    = 1_000_000
)

// environment is what conditions can name. It is made once: it takes some
// milliseconds and never changes.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(provider{registry}),
		cel.ParserExpressionSizeLimit(maxWhen),
		cel.ParserRecursionLimit(maxNesting),
		cel.Variable(reportVariable, cel.ObjectType("Report")),
	}
	for name, word := range objects["Report"] {
		options = append(options, cel.Variable(name, typeOf(word)))
	}
	return cel.NewEnv(append(options, functions()...)...)
})

// complaint is what is wrong with a condition, at a line from 1 and a column from 0
// of it.
type complaint struct {
	line, column int
	text         string
}

// compile makes a program of a condition.
func compile(source string) (cel.Program, []complaint) {
	env, err := environment()
	if err != nil {
		return nil, []complaint{{1, 0, err.Error()}}
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		var list []complaint
		for _, e := range issues.Errors() {
			list = append(list, complaint{max(e.Location.Line(), 1), max(e.Location.Column(), 0), e.Message})
		}
		return nil, list
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, []complaint{{1, 0, fmt.Sprintf("a condition is true or false; this gives %s", t)}}
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.CostTracking(costs{}))
	if err != nil {
		return nil, []complaint{{1, 0, err.Error()}}
	}
	return program, nil
}
