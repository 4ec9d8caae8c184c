// The controller of cert-manager: issuers and certificate requests.
package main

import (
	"flag"
	"os"

	"github.com/cert-manager/cert-manager/cmd/controller/app"
	"github.com/cert-manager/cert-manager/cmd/util"
	"github.com/cert-manager/cert-manager/pkg/logs"
)

func main() {
	stop, ended := util.SetupExitHandler(util.GracefulShutdown)
	defer ended()
	logs.InitLogs(flag.CommandLine)
	defer logs.FlushLogs()
	command := app.NewCommandStartCertManagerController(stop)
	command.Flags().AddGoFlagSet(flag.CommandLine)
	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}
