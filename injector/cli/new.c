/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * squall new: a few questions, and a commented file that is valid: it is read by the parser before
 * anybody sees it. Every question is also an option; what is not given is asked for.
 */
#include "injector/cli/commands.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/log.h"
#include "injector/base/params.h"
#include "injector/base/quantity.h"
#include "injector/cli/new_file.h"
#include "injector/cli/options.h"
#include "injector/experiment/load.h"
#include "injector/kernel/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"usage: squall new [-o FILE] [OPTION...]\n"
	"\n"
	"Asks a few questions and writes a commented experiment, which 'squall check' accepts.\n"
	"What an option answers is not asked; answers are read from standard input.\n"
	"\n"
	"  --what WHAT        slow, lossy or cut (a network), killed or paused (a process)\n"
	"  --where WHERE      HOST:PORT, an address or a network; of a process its name, or its\n"
	"                     unit (nginx.service)\n"
	"  --how-bad VALUE    slow: 200ms; lossy: 5%; killed: the signal, KILL\n"
	"  --for TIME         how long it lasts\n"
	"  --probe PROBE      what tells that all is well: a URL, HOST:PORT or a command\n"
	"  --within TIME      how soon it must answer\n"
	"  --title TEXT       what is rehearsed\n"
	"  -o, --output FILE  write there, to a new file, instead of standard output\n"
	"  --help             this text\n";

static const char *const whats[] = {"slow", "lossy", "cut", "killed", "paused", NULL};

enum question { WHAT, WHERE, HOW_BAD, LASTS, PROBE, WITHIN, TITLE, OUTPUT, QUESTIONS };

struct asking {
	struct option_text *texts; /* QUESTIONS of them */
	char *answers[QUESTIONS];  /* owned */
	enum new_what what;
};

static void describe(const struct asking *asking, enum question question, struct param *out,
		     const char **out_words)
{
	static const struct {
		struct param param;
		const char *words;
	} plain[QUESTIONS] = {
		[WHAT] = {{.type = PARAM_WORD, .words = whats, .fallback = "slow"},
			  "A network slow, lossy or cut, or a process killed or paused?"},
		[WHERE] = {{.type = PARAM_ENDPOINT}, "To what? HOST:PORT, an address or a network"},
		[LASTS] = {{.type = PARAM_DURATION,
			    .min = NSEC_PER_SEC,
			    .max = 24 * 3600 * NSEC_PER_SEC,
			    .fallback = "30s"},
			   "For how long?"},
		[PROBE] = {{.type = PARAM_TEXT},
			   "What tells that all is well? A URL, HOST:PORT or a command"},
		[WITHIN] = {{.type = PARAM_DURATION,
			     .min = NSEC_PER_MSEC,
			     .max = 60 * NSEC_PER_SEC,
			     .fallback = "1s"},
			    "How soon must it answer?"},
		[TITLE] = {{.type = PARAM_TEXT, .fallback = "A first experiment"},
			   "What is rehearsed, in a few words?"},
	};
	static const struct param delay = {.type = PARAM_DURATION,
					   .min = NSEC_PER_MSEC,
					   .max = 60 * NSEC_PER_SEC,
					   .fallback = "200ms"};
	static const struct param loss = {
		.type = PARAM_SHARE, .min = 1, .max = SHARE_ONE, .fallback = "5%"};
	static const struct param signal = {.type = PARAM_SIGNAL, .fallback = "KILL"};

	*out = plain[question].param;
	*out_words = plain[question].words;
	if (question == WHERE && new_is_process(asking->what)) {
		*out = (struct param){.type = PARAM_NAME};
		*out_words = "Which process? Its name, or its unit (nginx.service)";
	}
	if (question == HOW_BAD) {
		*out = asking->what == NEW_SLOW ? delay : asking->what == NEW_LOSSY ? loss : signal;
		*out_words = asking->what == NEW_SLOW	 ? "How late is each packet?"
			     : asking->what == NEW_LOSSY ? "What share of the packets is lost?"
							 : "Killed by which signal?";
	}
}

static bool is_asked(const struct asking *asking, enum question question)
{
	switch (question) {
	case HOW_BAD:
		return asking->what == NEW_SLOW || asking->what == NEW_LOSSY ||
		       asking->what == NEW_KILLED;
	case LASTS:
		return asking->what != NEW_KILLED;
	default:
		return true;
	}
}

static int take(struct asking *asking, enum question question, const struct param *param,
		const char *text, struct error *err)
{
	struct param_value value;
	int result = param_parse(param, text, &value, err);

	if (result < 0)
		return result;
	if (question == WHAT)
		asking->what = (enum new_what)value.number;
	asking->answers[question] = steal_pointer(&value.text);
	param_value_free(&value);
	return 0;
}

/* One line, without its end; NULL: there is none. */
static char *read_line(void)
{
	char *line = NULL;
	size_t size = 0;

	if (getline(&line, &size, stdin) < 0) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

/* Of an answer that nobody can guess. */
static const char *example_of(const struct asking *asking, enum question question)
{
	if (question == PROBE)
		return "http://127.0.0.1:8080/";
	return new_is_process(asking->what) ? "nginx.service" : "10.0.5.7:443";
}

static int ask(struct asking *asking, enum question question, struct error *err)
{
	const char *option = asking->texts[question].name, *words;
	struct param param;

	describe(asking, question, &param, &words);
	if (asking->texts[question].text) {
		int result = take(asking, question, &param, asking->texts[question].text, err);

		return result < 0 ? error_prefix(err, "--%s", option) : 0;
	}
	for (;;) {
		struct error why = ERROR_INIT;
		cleanup_free char *line = NULL;

		fprintf(stderr, "%s%s%s%s ", words, param.fallback ? " [" : "",
			param.fallback ? param.fallback : "", param.fallback ? "]" : "");
		fflush(stderr);
		line = read_line();
		if (!line) {
			fputc('\n', stderr);
			error_set(err, EINVAL, "new: there is no answer to '%s'", words);
			return error_remedy(err, "give it as --%s, or answer on standard input",
					    option);
		}
		if (!*line && !param.fallback) {
			fprintf(stderr, "  an answer is needed here, like %s\n",
				example_of(asking, question));
			continue;
		}
		if (take(asking, question, &param, *line ? line : param.fallback, &why) == 0)
			return 0;
		fprintf(stderr, "  %s\n", why.text);
	}
}

static int write_file(const char *path, const char *text, struct error *err)
{
	cleanup_fd int fd = -1;
	size_t length = strlen(text), at = 0;

	if (!path || strcmp(path, "-") == 0) {
		fputs(text, stdout);
		return options_flush(err);
	}
	fd = sandbox_open_as_caller(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, err);
	if (fd < 0)
		return err->code == EEXIST ? error_remedy(err, "choose another name, or remove it")
					   : fd;
	while (at < length) {
		ssize_t got = write(fd, text + at, length - at);

		if (got < 0)
			return error_errno(err, errno, "cannot write %s", path);
		at += (size_t)got;
	}
	fprintf(stderr, "Written. Next: squall explain %s; squall check %s; sudo squall plan %s\n",
		path, path, path);
	return 0;
}

/* What the parser does not take is not written: an answer may fit its question and not the rest. */
static int verify(const char *text, struct error *err)
{
	struct experiment_text copy = {.bytes = strdup(text), .length = strlen(text)};
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	int result = copy.bytes
			     ? experiment_parse(&copy, "the answers", &experiment, &problems, err)
			     : error_errno(err, ENOMEM, "cannot write an experiment");

	yaml_problems_free(&problems);
	experiment_text_free(&copy);
	experiment_free(experiment);
	free(experiment);
	return result;
}

int cli_new(int argc, char **argv, struct error *err)
{
	struct option_text texts[QUESTIONS + 1] = {
		[WHAT] = {.name = "what"},	 [WHERE] = {.name = "where"},
		[HOW_BAD] = {.name = "how-bad"}, [LASTS] = {.name = "for"},
		[PROBE] = {.name = "probe"},	 [WITHIN] = {.name = "within"},
		[TITLE] = {.name = "title"},	 [OUTPUT] = {.name = "output", .letter = 'o'},
	};
	struct options options = {.help = help, .texts = texts};
	struct asking asking = {.texts = texts};
	cleanup_free char *text = NULL;
	int result = options_parse(&options, argc, argv, err);

	if (result < 0 || options.helped)
		return result;
	for (unsigned i = 0; result == 0 && i < OUTPUT; i++)
		if (is_asked(&asking, (enum question)i))
			result = ask(&asking, (enum question)i, err);
	if (result == 0) {
		const struct new_answers answers = {
			.what = asking.what,
			.where = asking.answers[WHERE],
			.how_bad = asking.answers[HOW_BAD],
			.lasts = asking.answers[LASTS],
			.probe = asking.answers[PROBE],
			.within = asking.answers[WITHIN],
			.title = asking.answers[TITLE],
		};

		text = new_file(&answers);
		result = text ? verify(text, err)
			      : error_errno(err, ENOMEM, "cannot write an experiment");
	}
	if (result == 0)
		result = write_file(texts[OUTPUT].text, text, err);
	for (unsigned i = 0; i < QUESTIONS; i++)
		free(asking.answers[i]);
	return result;
}
