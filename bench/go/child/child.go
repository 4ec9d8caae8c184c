// Package child is a child process that is asked over its standard input and answers over its standard output, one
// JSON line each: what bench/child.py is for those in Python. A child measures itself.
package child

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// Ask is what a child is to do, how often, and what it is to look for.
type Ask struct {
	Do     string `json:"do"`
	Rounds int    `json:"rounds"`
	Sought string `json:"sought"`
}

// Say gives one answer.
func Say(answer any) error {
	return json.NewEncoder(os.Stdout).Encode(answer)
}

// AnswerAsks answers every ask by its name until the parent closes the input.
func AnswerAsks(answers map[string]func(Ask) (any, error)) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked Ask
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		answer, known := answers[asked.Do]
		if !known {
			return fmt.Errorf("asked to do %q, known are %q", asked.Do, slices.Sorted(maps.Keys(answers)))
		}
		told, err := answer(asked)
		if err != nil {
			return err
		}
		if err := Say(told); err != nil {
			return err
		}
	}
	return lines.Err()
}
