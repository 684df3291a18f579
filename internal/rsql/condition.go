package rsql

import (
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
type expression struct{ Condition }

// raw starts an expression with a text. A text never comes from a client.
func raw(text string) expression { return expression{Condition{parts: []string{text}}} }

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
	return expression{Condition{parts: []string{"", ""}, args: []any{value}}}
}

// concat joins expressions into a new one and leaves the given ones as they are.
func concat(list ...expression) expression {
	parts, args := []string{""}, []any(nil)
	for _, e := range list {
		parts[len(parts)-1] += e.parts[0]
		parts = append(parts, e.parts[1:]...)
		args = append(args, e.args...)
	}
	return expression{Condition{parts: parts, args: args}}
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

func grouped(list []expression, operator string) expression {
	if len(list) == 1 {
		return list[0]
	}
	return concat(raw("("), separated(list, operator), raw(")"))
}

// parameters binds each value and separates them with commas.
func parameters(values []any) expression {
	list := make([]expression, len(values))
	for i, value := range values {
		list[i] = bound(value)
	}
	return separated(list, ", ")
}
