package plan

import (
	"errors"
	"strings"
)

// Word is a word of the short form of a script.
type Word struct {
	Text string // without its quotes
	Raw  string // as it is written
	// Expression says that the word starts with "$" and is written out up to the end of its brackets.
	Expression bool
}

// Split splits the short form of a script into words: at spaces, with single and double quotes and backslashes as in a
// shell, but without any substitution.
func Split(text string) ([]Word, error) {
	var words []Word
	for i := 0; i < len(text); {
		if strings.IndexByte(" \t\r\n", text[i]) >= 0 {
			i++
			continue
		}
		read, expression := quotedWord, text[i] == '$'
		if expression {
			read = expressionWord
		}
		word, next, err := read(text, i)
		if err != nil {
			return nil, err
		}
		words = append(words, Word{Text: word, Raw: text[i:min(next, len(text))], Expression: expression})
		i = next
	}
	if len(words) == 0 {
		return nil, errors.New("there is nothing to run")
	}
	return words, nil
}

// Words is Split for those who need the texts only.
func Words(text string) ([]string, error) {
	split, err := Split(text)
	if err != nil {
		return nil, err
	}
	words := make([]string, len(split))
	for i, word := range split {
		words[i] = word.Text
	}
	return words, nil
}

// OwnExpression reports whether a word of a script is an expression of the script language: it starts with "$__" or with
// a variable that is known. Other words with a "$", such as $INPUT_name and $(date), are left to the shell, which runs
// scripts.
func OwnExpression(word string, known func(variable string) bool) bool {
	if strings.HasPrefix(word, "$__") {
		return true
	}
	rest, ok := strings.CutPrefix(word, "$")
	if !ok {
		return false
	}
	end := strings.IndexAny(rest, ".[ ")
	if end < 0 {
		end = len(rest)
	}
	return known(rest[:end])
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
