"""Errors of the conversation side.

BotError
├── ModelUnavailable       weights missing, damaged, or the remote server does not answer
│   ├── WeightsMissing     a packaged part or a file is not there
│   ├── WeightsCorrupt     the bytes are not the ones we know
│   └── DiskFull           no room to convert the weights
├── QueueFull              too many answers are waiting; try again after `retry_after_s`
├── PromptTooLong          the parts that may not be cut exceed the token budget
├── AdapterRejected        the adapter folder does not fit the base model
├── AdapterNotFound        no registered adapter of that name
├── AdapterChangeRefused   the adapter in force cannot be changed now
│   └── PointerDamaged     the file that says which adapter is in force cannot be read
├── HeadNotFound           no retrained head of that name
├── HeadChangeRefused      the head in force cannot be changed so, or not now
├── IntentNotFound         no intent of the company of that key
├── IntentRejected         an intent or an example that cannot be kept so
├── ConversationNotFound   no conversation of that id
├── MessageNotFound        no message (or citation) of that id
├── AnswerInProgress       this conversation's previous answer is still being written
├── MessageRejected        empty, too long, or nothing but control characters
├── LabelRejected          a label that the task does not have
├── CuratedAnswerNotFound  no curated answer of that id
├── CuratedAnswerRejected  a curated answer with an empty or too long part
├── AccessDenied           the token is not this conversation's
├── AccountNotFound        no member of staff of that name
├── AccountExists          the name is taken
├── PasswordRejected       a new password that is too short or not new
├── LoginFailed            wrong name or password
├── LoginLocked            too many wrong passwords; try again after `retry_after_s`
└── SettingsError          a setting has a value that cannot work
"""


class BotError(Exception):
    """Base of all errors of this package; messages say what to do next."""


class ModelUnavailable(BotError):
    """The language model cannot answer now."""


class WeightsMissing(ModelUnavailable):
    """A packaged part or a file of the weights is not there."""


class WeightsCorrupt(ModelUnavailable):
    """The weights' bytes are not the ones we know."""


class DiskFull(ModelUnavailable):
    """There is no room on disk to prepare the weights."""


class QueueFull(BotError):
    """Too many answers are waiting."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PromptTooLong(BotError):
    """The parts of a prompt that may not be cut exceed its token budget."""


class AdapterRejected(BotError):
    """The adapter folder does not fit the base model."""


class AdapterNotFound(BotError):
    """There is no registered adapter of that name."""


class AdapterChangeRefused(BotError):
    """The adapter in force cannot be changed now."""


class PointerDamaged(AdapterChangeRefused):
    """The file that says which adapter is in force cannot be read."""


class HeadNotFound(BotError):
    """There is no retrained head of that name."""


class HeadChangeRefused(BotError):
    """The head in force cannot be changed so, or not now."""


class IntentNotFound(BotError):
    """The company has no intent of that key."""


class IntentRejected(BotError):
    """An intent or an example that cannot be kept so; the message says what is wrong."""


class ConversationNotFound(BotError):
    """There is no conversation of that id."""


class MessageNotFound(BotError):
    """There is no message, or no citation of it, of that id."""


class AnswerInProgress(BotError):
    """The conversation's previous answer is still being written."""


class MessageRejected(BotError):
    """The message is empty, too long, or nothing but control characters."""


class LabelRejected(BotError):
    """The label is none of its task's."""


class SettingsError(BotError):
    """A setting has a value that cannot work; the message names it."""


class CuratedAnswerNotFound(BotError):
    """There is no curated answer of that id."""


class CuratedAnswerRejected(BotError):
    """A part of a curated answer is empty or too long."""


class AccessDenied(BotError):
    """The token is not this conversation's."""


class AccountNotFound(BotError):
    """There is no member of staff of that name."""


class AccountExists(BotError):
    """The name is taken."""


class PasswordRejected(BotError):
    """The new password is too short, too long or not new."""


class LoginFailed(BotError):
    """Wrong name or password; which of them is not said."""


class LoginLocked(BotError):
    """Too many wrong passwords were given."""

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
