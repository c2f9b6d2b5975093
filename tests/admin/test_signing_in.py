def test_who_is_not_signed_in_is_sent_to_the_door(stranger):
    answer = stranger.get("/admin/")
    assert (answer.status_code, answer.location) == (302, "/admin/sign-in")


def test_the_right_password_opens_the_page_that_was_wanted(stranger):
    stranger.get("/admin/account/")
    answer = stranger.sign_in("viewer@example.com")
    assert answer.location == "/admin/account/"
    assert "viewer@example.com" in stranger.get("/admin/account/").text
