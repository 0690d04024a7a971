"""Discord. A picture is at ``https://cdn.discordapp.com/avatars/{id}/{avatar}.png``."""

from ..preset import Preset, Profile, Revocation, factory, option, proxy


class Discord(Preset):
    base_url = "https://discord.com/api/v10/"
    authorization_url = "https://discord.com/oauth2/authorize"
    token_url = "https://discord.com/api/oauth2/token"
    scope = ["identify"]
    revocation = Revocation("https://discord.com/api/oauth2/token/revoke", ends_grant=True)
    profile = Profile("users/@me", "id global_name|username email avatar verified")
    console = "https://discord.com/developers/applications"
    doubts = "Whether PKCE is accepted beside a client secret; it is sent."

    prompt: str | None = option(
        "``consent`` asks for the approval anew; ``None`` does not where it was given before.",
        default="consent",
        adds="prompt={}",
        otherwise="prompt=none",
    )


make_discord_blueprint, discord = factory(Discord), proxy(Discord)
