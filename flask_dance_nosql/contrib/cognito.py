"""Amazon Cognito. The revocation has to be enabled for the client."""

from ..preset import HOST, WORD, OpenIDPreset, Revocation, factory, option, proxy


class Cognito(OpenIDPreset):
    display = "Amazon Cognito"
    base_url = "https://{domain}/"
    authorization_url = "https://{domain}/oauth2/authorize"
    token_url = "https://{domain}/oauth2/token"
    issuer = "https://cognito-idp.{region}.amazonaws.com/{pool}"
    revocation = Revocation("https://{domain}/oauth2/revoke", only="refresh_token")
    console = "https://console.aws.amazon.com/cognito/"

    domain: str = option("The domain of the user pool.", pattern=HOST)
    region: str = option("The region of the user pool.", pattern=WORD)
    pool: str = option("The id of the user pool.", pattern=WORD)


make_cognito_blueprint, cognito = factory(Cognito), proxy(Cognito)
