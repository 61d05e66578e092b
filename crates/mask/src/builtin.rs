//! The classes that there are without configuration: their column names, detectors and transforms.
//!
//! Knows words only. Names are compared in lower case without `_`, `-` and spaces; `*` stands for any text, and one at the
//! beginning for none that makes a flag of it.

use gatehouse_model::ClassName;

use crate::{ClassRule, Detector, Transform};

struct Builtin {
    name: &'static str,
    transform: Transform,
    detector: Option<Detector>,
    columns: &'static [&'static str],
}

/// Personal data first, then secrets: of several classes with equal transforms the first one names the mask.
#[rustfmt::skip]
const BUILTIN: &[Builtin] = &[
    Builtin {
        name: "email",
        transform: Transform::Pseudonym,
        detector: Some(Detector::Email),
        columns: &["*email", "*emailaddress", "*emailaddr", "email1", "email2", "mailaddress", "useremailid"],
    },
    Builtin {
        name: "phone",
        transform: Transform::Partial,
        detector: Some(Detector::PhoneNumber),
        columns: &[
            "*phone", "*phonenumber", "*phoneno", "*phonenum", "phone1", "phone2", "*mobile", "mobilenumber", "mobileno",
            "tel", "telno", "telnumber", "contacttel", "customertel", "hometel", "officetel", "usertel", "worktel", "cell", "cellnumber", "fax", "*faxnumber", "msisdn", "*telefono", "*telefon", "telefonnummer", "telefoon", "telefoonnummer", "telefone", "celular", "mobiel", "whatsapp", "whatsappnumber",
        ],
    },
    Builtin {
        name: "person_name",
        transform: Transform::Pseudonym,
        detector: Some(Detector::PersonName),
        columns: &[
            "*firstname", "*lastname", "*fullname", "*surname", "*givenname", "*familyname", "*middlename",
            "*maidenname", "fname", "lname", "personname", "customername", "patientname", "employeename", "contactname",
            "guardianname", "emergencycontact", "*cardholder", "*cardholdername", "nameoncard",
        ],
    },
    Builtin {
        name: "street_address",
        transform: Transform::Redact,
        detector: Some(Detector::PostalAddress),
        columns: &[
            "address", "address1", "address2", "address3", "addr", "addr1", "addr2", "*addressline*", "*addrline*", "street",
            "street1", "street2", "streetname", "*streetaddr*", "*homeaddress", "*mailingaddress",
            "*billingaddress", "*shippingaddress", "*postaladdress", "*deliveryaddress", "residentialaddress",
        ],
    },
    Builtin {
        name: "payment_card",
        transform: Transform::Partial,
        detector: Some(Detector::PaymentCard),
        columns: &[
            "*cardnumber", "*cardno", "*cardnum", "creditcard", "debitcard", "ccnumber", "ccnum", "ccno", "cardpan",
            "primaryaccountnumber", "cvv", "cvv2", "cvc", "cvc2", "cardcvv", "cardcvc", "cardsecuritycode",
        ],
    },
    Builtin {
        name: "iban",
        transform: Transform::Redact,
        detector: Some(Detector::Iban),
        columns: &["*iban", "ibannumber", "bankaccount", "*bankaccountnumber", "bankaccountno"],
    },
    Builtin {
        name: "us_ssn",
        transform: Transform::Redact,
        detector: Some(Detector::UsSsn),
        columns: &["*ssn", "ssnnumber", "ssnno", "*socialsecuritynumber", "*socialsecurityno", "socialsecurity", "ssnlast4"],
    },
    Builtin {
        name: "national_id",
        transform: Transform::Redact,
        detector: Some(Detector::NationalId),
        columns: &[
            "*nationalid", "*nationalidnumber", "*nationalinsurance*", "nino", "*nhsnumber", "nhsno", "*cpf", "aadhaar", "aadhaarnumber",
            "pannumber", "dni", "*codicefiscale", "steuerid", "steueridnr", "*bsn", "bsnnumber", "nrn", "niss", "pesel",
            "*personnummer", "nif", "sinnumber", "socialinsurancenumber", "tfn", "taxfilenumber", "medicarenumber", "*passportnumber",
            "passportno", "passport", "*driverslicense", "*driverslicensenumber", "*driverlicense", "*driverlicensenumber",
            "*drivinglicence", "*drivinglicencenumber", "licensenumber", "*identitynumber", "itin", "aadhar", "aadharnumber", "burgerservicenummer", "rijksregisternummer", "insz", "steueridentifikationsnummer", "personnr", "ninumber", "socialinsurance",
        ],
    },
    Builtin {
        name: "tax_id",
        transform: Transform::Redact,
        detector: Some(Detector::TaxId),
        columns: &["*taxid", "*taxnumber", "taxno", "ein", "fein", "cnpj", "*vatid", "*vatnumber", "vatno", "nip", "partitaiva", "piva", "ustid", "ustidnr"],
    },
    Builtin {
        name: "bank_code",
        transform: Transform::Redact,
        detector: Some(Detector::BankCode),
        columns: &["bic", "swift", "biccode", "swiftcode", "*routingnumber", "*routingno", "abanumber", "sortcode"],
    },
    Builtin {
        name: "mac_address",
        transform: Transform::Redact,
        detector: Some(Detector::MacAddress),
        columns: &["mac", "*macaddress", "*macaddr"],
    },
    Builtin {
        name: "date_of_birth",
        transform: Transform::Null,
        detector: None,
        columns: &["*dateofbirth", "*birthdate", "*birthday", "birthdt", "*dob", "bornon", "borndate"],
    },
    Builtin {
        name: "ip_address",
        transform: Transform::Redact,
        detector: Some(Detector::IpAddress),
        columns: &[
            "ip", "*ipaddress", "*ipaddr", "*clientip", "remoteip", "sourceip", "userip", "loginip", "lastip",
            "*signinip", "signupip", "lastloginip", "registrationip", "createdip",
        ],
    },
    Builtin {
        name: "password",
        transform: Transform::Redact,
        detector: Some(Detector::UrlPassword),
        columns: &["*password", "*passwd", "*passphrase", "*pwd", "userpass", "dbpass", "databaseurl", "pin"],
    },
    Builtin {
        name: "password_hash",
        transform: Transform::Redact,
        detector: Some(Detector::PasswordHash),
        columns: &[
            "*passwordhash", "*hashedpassword", "*passwordhashed", "*passwordsalt", "*passworddigest", "*passwdhash",
            "*pwhash", "*pwdhash", "rolpassword",
        ],
    },
    Builtin {
        name: "api_key",
        transform: Transform::Redact,
        detector: Some(Detector::ApiKey),
        columns: &[
            "*apikey", "*apitoken", "*apisecret", "*accesstoken", "*refreshtoken", "*authtoken", "*bearertoken",
            "*sessiontoken", "*resettoken", "*secret", "*secretkey", "*signingkey", "*encryptionkey",
        ],
    },
    Builtin {
        name: "github_token",
        transform: Transform::Redact,
        detector: Some(Detector::GithubToken),
        columns: &["githubtoken", "ghtoken", "githubpat"],
    },
    Builtin {
        name: "jwt",
        transform: Transform::Redact,
        detector: Some(Detector::Jwt),
        columns: &["jwt", "jwttoken", "*idtoken"],
    },
    Builtin {
        name: "private_key",
        transform: Transform::Redact,
        detector: Some(Detector::PrivateKey),
        columns: &["*privatekey", "*privatekeypem", "privkey", "sshkey", "tlskey"],
    },
    Builtin {
        name: "aws_key",
        transform: Transform::Redact,
        detector: Some(Detector::AwsKey),
        columns: &["awskey", "*awsaccesskey*", "*awssecret*", "*secretaccesskey", "accesskeyid"],
    },
];

/// The rules as a configuration would give them.
pub(crate) fn rules() -> Vec<ClassRule> {
    BUILTIN
        .iter()
        .filter_map(|builtin| {
            Some(ClassRule {
                name: ClassName::new(builtin.name).ok()?,
                transform: builtin.transform,
                column_names: builtin.columns.iter().map(|column| (*column).to_owned()).collect(),
                detector: builtin.detector,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_a_rule_and_every_detector_has_one() {
        let rules = rules();
        assert_eq!(rules.len(), BUILTIN.len());
        for detector in Detector::ALL {
            assert_eq!(rules.iter().filter(|rule| rule.detector == Some(detector)).count(), 1, "{detector}");
        }
    }
}
