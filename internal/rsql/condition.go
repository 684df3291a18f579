package rsql

import (
	"slices"
	"strconv"
	"strings"
)

// Condition is a boolean SQL expression for WHERE, with its bound parameters. No text of a client is in its SQL, only in
// its parameters. For a row that does not meet it, it may be NULL instead of false, so NOT of it is not its complement.
type Condition struct {
	// parts are the SQL between the parameters, so there is one part more than there are args.
	parts []string
	args  []any
}

// Question gives the SQL with "?" for each parameter, as GORM and SQLite take it, and the parameters.
func (c Condition) Question() (string, []any) {
	return strings.Join(c.parts, "?"), c.args
}

// Numbered gives the SQL with "$n" for each parameter, as PostgreSQL takes it, and the parameters. The first parameter
// is $first: pass 1 plus the number of parameters that stand before the condition in the query.
func (c Condition) Numbered(first int) (string, []any) {
	var b strings.Builder
	for i, part := range c.parts {
		if i > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(first + i - 1))
		}
		b.WriteString(part)
	}
	return b.String(), c.args
}

// expression is SQL under construction: text of this package and of the table of fields, joined with parameters.
type expression struct {
	Condition
	// stack is how many entries a parser needs for the groups in it, see grouped.
	stack int
}

// raw starts an expression with a text. A text never comes from a client.
func raw(text string) expression { return expression{Condition: Condition{parts: []string{text}}} }

// operand is an expression of the table of fields, in parentheses unless it is the name of a column.
func operand(expr string) expression {
	if strings.ContainsFunc(expr, func(r rune) bool {
		return !isLetter(r) && !('0' <= r && r <= '9') && r != '_' && r != '.' && r != '"'
	}) {
		return raw("(" + expr + ")")
	}
	return raw(expr)
}

// bound is an expression of one parameter.
func bound(value any) expression {
	return expression{Condition: Condition{parts: []string{"", ""}, args: []any{value}}}
}

// concat joins expressions into a new one and leaves the given ones as they are.
func concat(list ...expression) expression {
	parts, args := []string{""}, []any(nil)
	for _, e := range list {
		parts[len(parts)-1] += e.parts[0]
		parts = append(parts, e.parts[1:]...)
		args = append(args, e.args...)
	}
	return expression{Condition: Condition{parts: parts, args: args}}
}

// separated joins expressions with a text between them.
func separated(list []expression, separator string) expression {
	var joined []expression
	for i, e := range list {
		if i > 0 {
			joined = append(joined, raw(separator))
		}
		joined = append(joined, e)
	}
	return concat(joined...)
}

// anyOf holds where one of the list holds, allOf where all do. Both are safe to combine further.
func anyOf(list []expression) expression { return grouped(list, " OR ") }
func allOf(list []expression) expression { return grouped(list, " AND ") }

// longestChain is how many parts are joined without further parentheses. SQLite reads "a AND b AND c" as a tree that is as
// deep as the chain is long, and refuses one deeper than 1,000.
const longestChain = 32

// grouped puts the part with the most nested groups first. The parser of SQLite has a stack of 100 entries: a group at the
// start takes one of them, a later one three, with what stands before it and the operator. The order does not change what
// the condition means, and with it only as many groups take three as a filter of MaxComparisons can branch.
func grouped(list []expression, operator string) expression {
	if len(list) == 1 {
		return list[0]
	}
	deepest := 0
	for i, e := range list {
		if e.stack > list[deepest].stack {
			deepest = i
		}
	}
	ordered := append([]expression{list[deepest]}, list[:deepest]...)
	ordered = append(ordered, list[deepest+1:]...)
	if len(ordered) > longestChain {
		var chunks []expression
		for chunk := range slices.Chunk(ordered, longestChain) {
			chunks = append(chunks, grouped(chunk, operator))
		}
		return grouped(chunks, operator)
	}
	stack := ordered[0].stack
	for _, e := range ordered[1:] {
		stack = max(stack, e.stack+2)
	}
	group := concat(raw("("), separated(ordered, operator), raw(")"))
	group.stack = stack + 1
	return group
}

// parameters binds each value and separates them with commas.
func parameters(values []any) expression {
	list := make([]expression, len(values))
	for i, value := range values {
		list[i] = bound(value)
	}
	return separated(list, ", ")
}
