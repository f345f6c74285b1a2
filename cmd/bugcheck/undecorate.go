package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bugcheck/render"
	"bugcheck/undname"
)

func undecorateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undecorate NAME…",
		Short: "Write decorated names of Microsoft's compilers as they were declared",
		Long: `Undecorate prints for each name what a stack shows of it, and its whole
signature. A name that is not decorated is printed as it is.`,
		Example: "  bugcheck symbols undecorate '?Start@Queue@@QEAAHPEAUItem@@@Z'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range args {
				fmt.Fprintln(cmd.OutOrStdout(), render.Printable(undname.Name(name)))
				if full, err := undname.Full(name); err == nil && full != undname.Name(name) {
					fmt.Fprintln(cmd.OutOrStdout(), "    "+render.Printable(full))
				}
			}
			return nil
		},
	}
}
