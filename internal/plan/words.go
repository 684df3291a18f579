package plan

import (
	"errors"
	"strings"
)

// Words splits the short form of a script into words: at spaces, with single and double quotes and backslashes as in a
// shell, but without any substitution. A word that starts with "$" is an expression and is kept as it is written up to
// the end of its brackets.
func Words(text string) ([]string, error) {
	var words []string
	for i := 0; i < len(text); {
		if strings.IndexByte(" \t\r\n", text[i]) >= 0 {
			i++
			continue
		}
		read := quotedWord
		if text[i] == '$' {
			read = expressionWord
		}
		word, next, err := read(text, i)
		if err != nil {
			return nil, err
		}
		words, i = append(words, word), next
	}
	if len(words) == 0 {
		return nil, errors.New("there is nothing to run")
	}
	return words, nil
}

func quotedWord(text string, i int) (string, int, error) {
	var word strings.Builder
	var quote byte
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			return word.String(), i, nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
		default:
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", 0, errors.New("a quote is not closed")
	}
	return word.String(), i, nil
}

func expressionWord(text string, start int) (string, int, error) {
	depth, quoted := 0, false
	i := start
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case depth <= 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			return text[start:i], i, nil
		}
	}
	if quoted || depth > 0 {
		return "", 0, errors.New("a quote or a bracket is not closed")
	}
	return text[start:min(i, len(text))], i, nil
}
