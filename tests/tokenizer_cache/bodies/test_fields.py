"""The decoder's complaints in a client's words."""

from tokenizer_cache.bodies.fields import Raw, bad_type, given, holds_media


def test_null_counts_as_absent() -> None:
    assert (given(Raw()), given(Raw(b"null")), given(Raw(b"0"))) == (b"", b"", b"0")


def test_complaints_name_the_parameter() -> None:
    wrong = bad_type("Expected `array`, got `str` - at `$.messages`")
    assert (wrong.message, wrong.param) == ("Invalid type for 'messages': expected array, got str.", "messages")
    missing = bad_type("Object missing required field `input`")
    assert (missing.message, missing.param) == ("Missing required parameter: 'input'.", "input")
    assert bad_type("Object missing required field `model`").param == "model"
    assert bad_type("Expected `object`, got `array`").param is None


def test_media_parts_of_every_api_are_known() -> None:
    for kind in ("image_url", "image", "input_image", "input_audio", "video_url", "input_file", "document"):
        assert holds_media(f'[{{"type": "{kind}"}}]'.encode())
    assert not holds_media(b'[{"type": "text", "text": "\\"type\\": \\"image_url\\""}]')
