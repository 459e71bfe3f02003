import logging
from types import SimpleNamespace

import pytest

from models.llama.native import libllama


def test_what_llama_cpp_writes_is_logged_only_while_a_model_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    write = libllama._log_callback.__wrapped__(SimpleNamespace(llama_log_callback=lambda function: function))
    with caplog.at_level(logging.DEBUG, libllama.__name__):
        with libllama.capture_errors() as errors:
            write(libllama._ERROR_LEVEL, b"the file is cut short\n", None)
        write(libllama._ERROR_LEVEL, b"parse: error parsing grammar: SECRET\n", None)
    assert errors == ["the file is cut short"]
    assert "cut short" in caplog.text
    assert "SECRET" not in caplog.text
