/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall schema: for editors, from the parameter tables.
 */
#include "injector/cli/commands.h"

#include "injector/base/json.h"
#include "injector/cli/options.h"
#include "injector/experiment/schema.h"

static const char help[] =
	"usage: squall schema\n"
	"\n"
	"Prints the JSON Schema of the experiment file. Editors with the YAML language server\n"
	"complete and check a file by it that begins with\n"
	"\n"
	"  # yaml-language-server: $schema=/usr/share/squall/schema/experiment.schema.json\n"
	"\n"
	"'squall check' says more: ranges, names, and what fits together.\n"
	"\n"
	"  --help  this text\n";

int cli_schema(int argc, char **argv, struct error *err)
{
	struct options options = {.help = help};
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	return json_print(schema_of_experiment(), stdout, true, err);
}
